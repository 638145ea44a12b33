import { holdFinalInstance } from '../../common/kubernetes/final-instance.ts';
import type { VirtualMachine } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import type { BuildScope } from '../cluster/build-scope.ts';
import type { PhaseContext } from '../phases/phase-executor.ts';

/** On the VM: set before its guest is asked to go down, so that an end seen later is known to be ours. */
const ASKED = 'slipway.dev/shutdown-asked';

/** `accepted`: the guest took the request, and is not to be asked again. */
export type ShutdownMark = 'asked' | 'accepted' | undefined;

/** How far the shutdown of a VM has come. */
export function shutdownMark(vm: VirtualMachine | undefined): ShutdownMark {
  const mark = vm?.metadata?.annotations?.[ASKED];
  if (mark === undefined) return undefined;
  return mark === 'accepted' ? 'accepted' : 'asked';
}

/** Before the guest is asked: from here on its end is expected, and its final VMI is kept. @throws Superseded */
export async function announceShutdown(context: PhaseContext, scope: BuildScope): Promise<void> {
  const { cluster, signal, store, claim } = context;
  await store.assertCurrent(claim);
  await mark(context, scope, 'true');
  await holdFinalInstance(cluster, scope.names.machine(scope.vm.name), signal);
}

/** The guest took the request. */
export function noteAccepted(context: PhaseContext, scope: BuildScope): Promise<unknown> {
  return mark(context, scope, 'accepted');
}

function mark({ cluster, signal }: PhaseContext, { names, vm }: BuildScope, value: string): Promise<unknown> {
  const metadata = { annotations: { [ASKED]: value } };
  return cluster.mergePatch(RESOURCES.machines, names.machine(vm.name), { metadata }, { signal });
}
