import { NO_DEADLINE_MS } from '../../common/clock/clock.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { VirtualMachineInstance } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { waitFor, waitForSet } from '../../common/kubernetes/wait-for.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { isDisrupted, launcherLabels, storageFault } from '../context/machine-evidence.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import { machineEvidence } from '../context/stage.ts';

/**
 * How a machine ended, or is about to. `gone`: it was deleted. `evicted`: its node gives it up. `paused`: its storage
 * took no more, and typing makes no progress.
 */
export type MachineEnd = 'Succeeded' | 'Failed' | 'gone' | 'evicted' | 'paused';

/** The end that a VMI shows; undefined while it lives. */
export function machineEnd(vmi: VirtualMachineInstance | undefined): MachineEnd | undefined {
  if (!vmi) return 'gone';
  const vmiPhase = vmi.status?.phase;
  return vmiPhase === 'Succeeded' || vmiPhase === 'Failed' ? vmiPhase : undefined;
}

/** When a VMI came to a phase, by the cluster's clock (whole seconds); undefined when not reported. */
export function timeOfPhase({ status }: VirtualMachineInstance, phase: 'Running' | 'Failed'): number | undefined {
  const transition = status?.phaseTransitionTimestamps?.findLast((passed) => passed.phase === phase);
  const time = Date.parse(String(transition?.phaseTransitionTimestamp));
  return Number.isNaN(time) ? undefined : time;
}

/**
 * Resolves, by watch, when the machine has ended or cannot continue. Its pod is watched beside it: an eviction is reported there
 * alone, and the pod is gone seconds after the machine. Rejects with the signal's reason.
 */
export async function whenMachineEnds(cluster: ClusterClient, name: string, signal: AbortSignal): Promise<MachineEnd> {
  const over = new AbortController();
  const wait = {
    signal: anySignal(signal, over.signal),
    deadlineMs: NO_DEADLINE_MS,
    what: 'the machine to end',
  };
  const until = (vmi: VirtualMachineInstance | undefined): MachineEnd | undefined =>
    machineEnd(vmi) ?? (storageFault(vmi) === undefined ? undefined : 'paused');
  const ends = [
    waitFor(cluster, { resource: RESOURCES.instances, name }, { ...wait, until }),
    whenEvicted(cluster, name, wait.signal),
  ];
  try {
    return await Promise.race(ends);
  } finally {
    over.abort();
    await Promise.allSettled(ends);
  }
}

/** Resolves when the node of a machine gives up its pod. Rejects with the signal's reason. */
export async function whenEvicted(cluster: ClusterClient, name: string, signal: AbortSignal): Promise<'evicted'> {
  const wait = { signal, deadlineMs: NO_DEADLINE_MS, what: 'an eviction' };
  const uid = await waitFor(
    cluster,
    { resource: RESOURCES.instances, name },
    { ...wait, until: (vmi) => vmi?.metadata?.uid },
  );
  return await waitForSet(
    cluster,
    { resource: RESOURCES.pods, labels: launcherLabels(uid) },
    { ...wait, until: (pods) => ([...pods.values()].some(isDisrupted) ? 'evicted' : undefined) },
  );
}

/** Failure of the module after the unexpected end of a machine. */
export function endFailure(end: MachineEnd, doing: string, events: readonly string[] = []): PhaseFailure {
  const evidence = { evidence: { events: [...events] } };
  switch (end) {
    case 'Succeeded':
      return new PhaseFailure('GuestPoweredOff', `The guest powered itself off ${doing}.`, evidence);
    case 'evicted':
      return new PhaseFailure('MachineEvicted', `The node of the machine gave it up ${doing}.`, evidence);
    case 'paused':
      return new PhaseFailure('StorageFull', `The cluster paused the machine ${doing}: its storage failed.`, evidence);
    default: {
      const why = end === 'gone' ? 'was deleted' : 'died';
      return new PhaseFailure('GuestCrashed', `The machine ${why} ${doing}.`, evidence);
    }
  }
}

/**
 * Runs `work` while the machine lives; `alive` is aborted when it ends or `signal` is. An end of the machine, unexpected
 * by definition, is thrown as the failure that it means.
 */
export async function whileMachineLives<T>(
  { cluster, signal }: { readonly cluster: ClusterClient; readonly signal: AbortSignal },
  { name, doing }: { readonly name: string; readonly doing: string },
  work: (alive: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const died = new AbortController();
  const watching = whenMachineEnds(cluster, name, anySignal(signal, over.signal)).then(
    async (end) => died.abort(endFailure(end, doing, await machineEvidence(cluster, name))),
    // Without a watch the phase continues; its own errors show enough.
    () => {},
  );
  try {
    return await work(anySignal(signal, died.signal));
  } catch (error) {
    if (died.signal.aborted && !signal.aborted) throw died.signal.reason;
    throw error;
  } finally {
    over.abort();
    await watching;
  }
}
