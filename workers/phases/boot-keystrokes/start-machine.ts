import { FarmError } from '../../../common/errors/farm-error.ts';
import { isConflict } from '../../../common/kubernetes/api-error.ts';
import type { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { startMachine } from '../../../common/kubernetes/machine-actions.ts';
import type { VirtualMachine, VirtualMachineInstance } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { waitFor } from '../../../common/kubernetes/wait-for.ts';
import type { BuildScope } from '../../cluster/build-scope.ts';
import { evidenceOfMachine, falseConditions } from '../../context/machine-evidence.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { runStage } from '../../context/stage.ts';
import { buildVm } from '../../machines/build-vm.ts';
import { endFailure, machineEnd, timeOfPhase } from '../../machines/machine-life.ts';
import { networkOf } from '../../networks/networks.ts';

/** From the start request until the machine runs: scheduling, pulling the launcher, attaching volumes. */
const START_MS = 600_000;
/** Time that a node may take for a scheduled machine before its errors count. */
const SYNC_MS = 120_000;

/** The build VM; made switched off when it is not there. */
export async function ensureMachine(context: PhaseContext, scope: BuildScope): Promise<VirtualMachine> {
  const { cluster, clusterConfig, signal } = context;
  const wiring = await networkOf(scope.spec).buildWiring(context, scope);
  const subjects = [{ kind: 'VirtualMachine', name: scope.names.machine(scope.vm.name) }];
  return runStage(cluster, { reason: 'ClusterRefused', subjects }, () =>
    cluster.createIfAbsent(RESOURCES.machines, buildVm(scope, wiring, clusterConfig.cpuAllocationRatio), { signal }),
  );
}

/**
 * Starts the VM unless it was started before, and waits until it runs or has powered itself off. `fresh`: it did not
 * run yet when this call looked.
 * @throws PhaseFailure NotScheduled, MachineNotStarted, ClusterRefused or GuestCrashed
 */
export async function ensureStarted(
  { cluster, store, claim, signal }: PhaseContext,
  name: string,
): Promise<{ vmi: VirtualMachineInstance; fresh: boolean }> {
  return runStage(cluster, { reason: 'NotScheduled', machine: name }, async () => {
    const found = await cluster.get(RESOURCES.instances, name, { signal });
    if (!found) {
      await store.assertCurrent(claim);
      await startMachine(cluster, name).catch((error: unknown) => {
        // Another request is under way.
        if (!isConflict(error)) throw error;
      });
    }
    const fresh = !found || (machineEnd(found) === undefined && found.status?.phase !== 'Running');
    return { vmi: await untilStarted(cluster, name, signal), fresh };
  });
}

/**
 * Waits until the machine runs or is off. A node takes seconds to start a scheduled machine; after minutes, its
 * errors are final: KubeVirt retries endlessly, and reports some errors only in an Event.
 */
async function untilStarted(
  cluster: ClusterClient,
  name: string,
  signal: AbortSignal,
): Promise<VirtualMachineInstance> {
  const wait = { signal, what: 'the machine to run' };
  const machine = { resource: RESOURCES.instances, name };
  const until = runningOrOff;
  const placed = await waitFor(cluster, machine, {
    ...{ ...wait, deadlineMs: START_MS },
    until: (vmi) => runningOrOff(vmi) ?? (vmi?.status?.phase === 'Scheduled' ? vmi : undefined),
  });
  if (placed.status?.phase !== 'Scheduled') return placed;
  try {
    return await waitFor(cluster, machine, { ...wait, deadlineMs: SYNC_MS, until });
  } catch (error) {
    if (!(error instanceof FarmError) || error.code !== 'DeadlineExceeded') throw error;
    const events = await evidenceOfMachine(cluster, name);
    const complaint = events.findLast((line) => /\bSyncFailed:|\bSynchronized=False:/.test(line));
    if (complaint !== undefined) throw notStarted(complaint, events);
  }
  return await waitFor(cluster, machine, { ...wait, deadlineMs: START_MS - SYNC_MS, until });
}

function notStarted(cause: string, events: readonly string[] = []): PhaseFailure {
  return new PhaseFailure('MachineNotStarted', `The machine cannot be started: ${cause}`, {
    evidence: { events: [...events] },
  });
}

/**
 * Errors of the hypervisor that no retry solves: libvirt's through KubeVirt, or QEMU's own. An image that another
 * process has open is released soon; a QEMU that was killed, or whose TPM was, is started again. Of a killed one libvirt has no words.
 */
const REFUSED = /\bQEMU: |qemu-(system|kvm)|process exited while connecting to monitor: |unsupported configuration/i;
const PASSING =
  /write" lock|shared "|already in use|Resource temporarily unavailable|terminating on signal|tpm-emulator|socket,id=(chr)?tpm/i;

/** Error of the hypervisor for a machine that it cannot start: KubeVirt writes it into a condition, and retries endlessly. */
export function startRefusal({ status }: VirtualMachineInstance): string | undefined {
  const found = status?.conditions?.find(({ type, status }) => type === 'Synchronized' && status === 'False');
  const message = found?.message ?? '';
  return REFUSED.test(message) && !PASSING.test(message) ? message : undefined;
}

/** Error of the node for a machine that it could not start, such as of its network: other disks do not help. */
function syncComplaints({ status }: VirtualMachineInstance): string[] {
  return (status?.conditions ?? [])
    .filter(({ type, status: is }) => type === 'Synchronized' && is === 'False')
    .map(({ message, reason }) => message ?? reason ?? 'Synchronized=False');
}

function runningOrOff(vmi: VirtualMachineInstance | undefined): VirtualMachineInstance | undefined {
  if (!vmi) return undefined;
  const refusal = vmi.status?.phase === 'Running' ? undefined : startRefusal(vmi);
  if (refusal !== undefined) throw notStarted(refusal);
  if (machineEnd(vmi) === 'Failed') {
    const [complaint] = timeOfPhase(vmi, 'Running') === undefined ? syncComplaints(vmi) : [];
    throw complaint === undefined
      ? endFailure('Failed', 'while it started')
      : notStarted(complaint, falseConditions(vmi));
  }
  return vmi.status?.phase === 'Running' || vmi.status?.phase === 'Succeeded' ? vmi : undefined;
}
