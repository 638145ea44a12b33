import { ANNOTATIONS } from '../../common/contracts/object-keys.ts';
import { holdFinalInstance } from '../../common/kubernetes/final-instance.ts';
import type { VirtualMachine } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import type { BuildScope } from '../cluster/build-scope.ts';
import type { PhaseContext } from '../context/phase-context.ts';

const { guestLeft: LEFT, shutdownAsked: ASKED } = ANNOTATIONS;

/** How far the farm has left a guest. */
export interface LeavingMarks {
  /** `begun`: all steps are done; `cleaned`: and only the farm's login is left in the guest. */
  readonly left: 'begun' | 'cleaned' | undefined;
  /** `accepted`: the guest took the request to go down, and is not to be asked again. */
  readonly asked: 'asked' | 'accepted' | undefined;
}

export function leavingMarks(vm: VirtualMachine | undefined): LeavingMarks {
  const { [LEFT]: left, [ASKED]: asked } = vm?.metadata?.annotations ?? {};
  return {
    left: left === undefined ? undefined : left === 'cleaned' ? 'cleaned' : 'begun',
    asked: asked === undefined ? undefined : asked === 'accepted' ? 'accepted' : 'asked',
  };
}

/** Before the state of the steps is removed: from here on no worker runs them. @throws Superseded */
export async function noteStepsDone(context: PhaseContext, scope: BuildScope): Promise<void> {
  await context.store.assertCurrent(context.claim);
  await mark(context, scope, { [LEFT]: 'begun' });
}

export async function noteCleaned(context: PhaseContext, scope: BuildScope): Promise<void> {
  await mark(context, scope, { [LEFT]: 'cleaned' });
}

/**
 * Before the guest is asked: from here on its end is expected, and its final VMI is kept. `isCleaned` notes that as well.
 * @throws Superseded
 */
export async function announceShutdown(
  context: PhaseContext,
  scope: BuildScope,
  { isCleaned = false } = {},
): Promise<void> {
  const { cluster, signal, store, claim } = context;
  await store.assertCurrent(claim);
  await Promise.all([
    mark(context, scope, { ...(isCleaned ? { [LEFT]: 'cleaned' } : {}), [ASKED]: 'true' }),
    holdFinalInstance(cluster, scope.names.machine(scope.vm.name), signal),
  ]);
}

export async function noteAccepted(context: PhaseContext, scope: BuildScope): Promise<void> {
  await mark(context, scope, { [ASKED]: 'accepted' });
}

async function mark({ cluster, signal }: PhaseContext, { names, vm }: BuildScope, annotations: Record<string, string>) {
  await cluster.mergePatch(RESOURCES.machines, names.machine(vm.name), { metadata: { annotations } }, { signal });
}
