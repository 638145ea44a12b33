import { type KubeObject, timestamp } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import { type DesiredCondition, findCondition, setCondition } from './conditions.ts';
import type { ControllerContext } from './context.ts';

/** Phases of a DataVolume that occur here (CDI's DataVolumePhase). */
export type DataVolumePhase =
  | 'Pending'
  | 'PendingPopulation'
  | 'ImportScheduled'
  | 'ImportInProgress'
  | 'CloneScheduled'
  | 'CloneInProgress'
  | 'CloneFromSnapshotSourceInProgress'
  | 'PrepClaimInProgress'
  | 'Succeeded'
  | 'Failed';

/** A change of the status of a DataVolume; absent fields stay. */
export interface DataVolumeChange {
  /** Absent: as it was; CDI gives none to a volume that it cannot begin. */
  readonly phase?: DataVolumePhase;
  /** 0 to 1; "N/A" when absent and none was known before. */
  readonly progress?: number;
  readonly restarts?: number;
  readonly running?: Pick<DesiredCondition, 'status' | 'reason' | 'message'>;
  /** Reason of a missing claim; CDI reports it in two conditions. */
  readonly unbound?: { readonly reason: string; readonly message: string };
}

/** CDI writes two decimals while it works and one at the end. */
export function progressText(share: number): string {
  return share >= 1 ? '100.0%' : `${(Math.max(0, share) * 100).toFixed(2)}%`;
}

/**
 * Writes the status of a DataVolume, unless it has gone or been replaced meanwhile. Its claim is bound when it is filled, so a volume
 * that succeeded may have one that is not bound yet.
 */
export async function writeDataVolumeStatus(
  { store, clock }: ControllerContext,
  dataVolume: KubeObject,
  change: DataVolumeChange,
): Promise<void> {
  const current = store.get('DataVolume', dataVolume.metadata);
  if (current?.metadata.uid !== dataVolume.metadata.uid) return;
  const now = timestamp(clock.now());
  const { phase, progress, restarts, running, unbound } = change;
  const { name } = dataVolume.metadata;
  const claimPhase = isClaimBound(store, dataVolume) ? 'Bound' : 'Pending';
  await store.updateStatus('DataVolume', dataVolume.metadata, (status) => {
    if (phase !== undefined) status['phase'] = phase;
    if (progress !== undefined) status['progress'] = progressText(progress);
    if (!unbound) status['progress'] ??= 'N/A';
    if (restarts !== undefined) status['restartCount'] = restarts;
    if (!unbound) status['claimName'] = name;
    const set = (condition: DesiredCondition) => setCondition(status, condition, now);
    const bound = { reason: claimPhase, message: `PVC ${name} ${claimPhase}`, ...unbound };
    set({ type: 'Bound', status: claimPhase === 'Bound' && !unbound ? 'True' : 'False', ...bound });
    if (running) set({ type: 'Running', ...running });
    else if (!findCondition(status, 'Running')) set({ type: 'Running', status: 'False', reason: '', message: '' });
    const transfer = findCondition(status, 'Running')?.status === 'True' ? { reason: 'TransferRunning' } : {};
    set({ type: 'Ready', status: status['phase'] === 'Succeeded' ? 'True' : 'False', ...transfer, ...unbound });
  });
}

/** Whether the claim of a DataVolume is bound. */
export function isClaimBound(store: Store, { metadata }: KubeObject): boolean {
  return store.get('PersistentVolumeClaim', metadata)?.status?.['phase'] === 'Bound';
}
