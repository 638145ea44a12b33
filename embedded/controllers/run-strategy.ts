import type { RunStrategy, StateChangeRequest, Vm, VmiPhase } from './kubevirt-types.ts';

/** Input of the decision to start or stop a VM's instance. */
export interface RunInput {
  readonly strategy: RunStrategy;
  readonly requests: readonly StateChangeRequest[];
  /** Absent when there is no VMI. */
  readonly vmi: { readonly uid: string; readonly phase: VmiPhase; readonly isDeleting: boolean } | undefined;
}

/** Next action on the VMI. */
export type RunDecision =
  | { readonly action: 'none' }
  | { readonly action: 'start'; readonly isPaused: boolean }
  | { readonly action: 'stop' }
  /** A paused start of a halted VM: the strategy becomes Always first, the request stays. */
  | { readonly action: 'enable' };

/** The strategy of a VM; `running` is the older form of it. */
export function strategyOf({ spec }: Vm): RunStrategy {
  return spec.runStrategy ?? (spec.running ? 'Always' : 'Halted');
}

const NONE: RunDecision = { action: 'none' };
const STOP: RunDecision = { action: 'stop' };

/**
 * KubeVirt's run strategies (pkg/virt-controller/watch/vm/vm.go). A requested stop names the VMI that is meant; a final
 * VMI is removed ("stopped") where the strategy replaces it, and kept where its phase is the result.
 */
export function decide({ strategy, requests, vmi }: RunInput): RunDecision {
  if (vmi?.isDeleting) return NONE;
  if (vmi && requests.some(({ action, uid }) => action === 'Stop' && uid === vmi.uid)) return STOP;
  const start = requests.find(({ action }) => action === 'Start');
  const isFinal = vmi?.phase === 'Succeeded' || vmi?.phase === 'Failed';
  const fresh = { action: 'start', isPaused: start?.data?.paused === 'true' } as const;
  switch (strategy) {
    case 'Always':
      return vmi === undefined ? fresh : isFinal ? STOP : NONE;
    case 'RerunOnFailure':
      // KubeVirt removes a VMI that ended cleanly and remembers that it did; here the VMI itself is the memory, and is
      // removed when the VM is asked to start again.
      if (vmi === undefined) return fresh;
      return vmi.phase === 'Failed' || (start && isFinal) ? STOP : NONE;
    case 'Once':
      return vmi === undefined ? fresh : NONE;
    case 'Manual':
      if (start && vmi === undefined) return fresh;
      return start && isFinal ? STOP : NONE;
    case 'Halted':
      if (vmi !== undefined) return STOP;
      return start ? { action: 'enable' } : NONE;
  }
}

/** The requests that have been fulfilled are dropped; the others stay. */
export function pendingRequests({ requests, vmi }: Omit<RunInput, 'strategy'>): readonly StateChangeRequest[] {
  return requests.filter(({ action, uid }, index) => {
    if (action === 'Stop') return vmi !== undefined && vmi.uid === uid;
    const isAfterStop = requests
      .slice(0, index)
      .some((earlier) => earlier.action === 'Stop' && earlier.uid === vmi?.uid);
    const isFinal = vmi?.phase === 'Succeeded' || vmi?.phase === 'Failed';
    return vmi === undefined || vmi.isDeleting || isAfterStop || isFinal;
  });
}

/** Delay before the next try of a VMI that failed before it ran: about 10 s times the square of the count. */
export function startBackoffMs(consecutiveFailures: number): number {
  return Math.min(300_000, 10_000 * consecutiveFailures ** 2);
}
