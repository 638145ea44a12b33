import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { VirtualMachineInstance } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';
import { PhaseFailure } from '../phases/phase-executor.ts';

/** The longest that a timer can wait. */
const FOR_EVER_MS = 2 ** 31 - 1;

/** How a machine ended. `gone`: somebody deleted it. */
export type MachineEnd = 'Succeeded' | 'Failed' | 'gone';

/** The end that a VMI shows; undefined while it lives. */
export function machineEnd(vmi: VirtualMachineInstance | undefined): MachineEnd | undefined {
  if (!vmi) return 'gone';
  const vmiPhase = vmi.status?.phase;
  return vmiPhase === 'Succeeded' || vmiPhase === 'Failed' ? vmiPhase : undefined;
}

/** Resolves, by watch, when the machine has ended. Rejects with the signal's reason. */
export function whenMachineEnds(cluster: ClusterClient, name: string, signal: AbortSignal): Promise<MachineEnd> {
  return waitFor(
    cluster,
    { resource: RESOURCES.instances, name },
    { signal, deadlineMs: FOR_EVER_MS, what: 'the machine to end', until: machineEnd },
  );
}

/** What the unexpected end of a machine means for its module. */
export function endFailure(end: MachineEnd, doing: string): PhaseFailure {
  if (end === 'Succeeded') return new PhaseFailure('GuestPoweredOff', `The guest powered itself off ${doing}.`);
  const why = end === 'gone' ? 'was deleted' : 'died';
  return new PhaseFailure('GuestCrashed', `The machine ${why} ${doing}.`);
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
  const watching = whenMachineEnds(cluster, name, AbortSignal.any([signal, over.signal])).then(
    (end) => died.abort(endFailure(end, doing)),
    // Without a watch the work goes on; its own trouble tells enough.
    () => {},
  );
  try {
    return await work(AbortSignal.any([signal, died.signal]));
  } catch (error) {
    if (died.signal.aborted && !signal.aborted) throw died.signal.reason;
    throw error;
  } finally {
    over.abort();
    await watching;
  }
}
