import { isConflict } from '../../../common/kubernetes/api-error.ts';
import { startMachine } from '../../../common/kubernetes/machine-actions.ts';
import type { VirtualMachine, VirtualMachineInstance } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { waitFor } from '../../../common/kubernetes/wait-for.ts';
import type { BuildScope } from '../../cluster/build-scope.ts';
import { buildVm } from '../../cluster/build-vm.ts';
import { runStage } from '../../cluster/evidence.ts';
import { endFailure, machineEnd } from '../../guest/machine-life.ts';
import { type PhaseContext, PhaseFailure } from '../phase-executor.ts';

/** From the start request until the machine runs: scheduling, pulling the launcher, attaching volumes. */
const START_MS = 600_000;

/** The build VM; made switched off when it is not there. */
export function ensureMachine({ cluster, signal }: PhaseContext, scope: BuildScope): Promise<VirtualMachine> {
  const subjects = [{ kind: 'VirtualMachine', name: scope.names.machine(scope.vm.name) }];
  return runStage(cluster, { reason: 'ClusterRefused', subjects }, () =>
    cluster.createIfAbsent(RESOURCES.machines, buildVm(scope), { signal }),
  );
}

/**
 * Starts the VM unless it was started before, and waits until it runs or has powered itself off. `fresh` says that this
 * call started it.
 * @throws PhaseFailure NotScheduled, MachineNotStarted, ClusterRefused or GuestCrashed
 */
export async function ensureStarted(
  { cluster, store, claim, signal }: PhaseContext,
  name: string,
): Promise<{ vmi: VirtualMachineInstance; fresh: boolean }> {
  const subjects = ['VirtualMachine', 'VirtualMachineInstance'].map((kind) => ({ kind, name }));
  return runStage(cluster, { reason: 'NotScheduled', subjects }, async () => {
    const fresh = (await cluster.get(RESOURCES.instances, name, { signal })) === undefined;
    if (fresh) {
      await store.assertCurrent(claim);
      await startMachine(cluster, name).catch((error: unknown) => {
        // Somebody's request is under way.
        if (!isConflict(error)) throw error;
      });
    }
    const vmi = await waitFor(
      cluster,
      { resource: RESOURCES.instances, name },
      { signal, deadlineMs: START_MS, what: 'the machine to run', until: runningOrOff },
    );
    return { vmi, fresh };
  });
}

/** When the VMI began to run, by the cluster's clock (whole seconds); undefined when it does not say. */
export function runningSince(vmi: VirtualMachineInstance): number | undefined {
  const transition = vmi.status?.phaseTransitionTimestamps?.findLast(({ phase }) => phase === 'Running');
  const time = Date.parse(String(transition?.phaseTransitionTimestamp));
  return Number.isNaN(time) ? undefined : time;
}

/**
 * Words of the hypervisor that no second try changes: libvirt's through KubeVirt, or QEMU's own. An image that somebody
 * else has open is given back soon.
 */
const REFUSED = /\bQEMU: |qemu-(system|kvm)|process exited while connecting to monitor|unsupported configuration/i;
const PASSING = /write" lock|shared "|already in use|Resource temporarily unavailable/i;

/** What the hypervisor says of a machine that it cannot start: KubeVirt writes it into a condition, and tries again for ever. */
export function startRefusal({ status }: VirtualMachineInstance): string | undefined {
  const found = status?.conditions?.find(({ type, status }) => type === 'Synchronized' && status === 'False');
  const message = found?.message ?? '';
  return REFUSED.test(message) && !PASSING.test(message) ? message : undefined;
}

function runningOrOff(vmi: VirtualMachineInstance | undefined): VirtualMachineInstance | undefined {
  if (!vmi) return undefined;
  const refusal = vmi.status?.phase === 'Running' ? undefined : startRefusal(vmi);
  if (refusal !== undefined) {
    throw new PhaseFailure('MachineNotStarted', `The machine cannot be started: ${refusal}`);
  }
  if (machineEnd(vmi) === 'Failed') throw endFailure('Failed', 'while it started');
  return vmi.status?.phase === 'Running' || vmi.status?.phase === 'Succeeded' ? vmi : undefined;
}
