import { type KubeObject, timestamp } from '../api/objects.ts';
import { setCondition, type WantedCondition } from './conditions.ts';
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

/** What changes in the status of a DataVolume; what is absent stays. */
export interface DataVolumeChange {
  /** Absent: as it was; CDI gives none to a volume that it cannot begin. */
  readonly phase?: DataVolumePhase;
  /** 0 to 1; "N/A" when absent and none was known before. */
  readonly progress?: number;
  readonly restarts?: number;
  readonly running?: Pick<WantedCondition, 'status' | 'reason' | 'message'>;
  /** Why there is no claim yet; CDI says it in two conditions. */
  readonly unbound?: { readonly reason: string; readonly message: string };
}

/** CDI writes two decimals while it works and one at the end. */
export function progressText(share: number): string {
  return share >= 1 ? '100.0%' : `${(Math.max(0, share) * 100).toFixed(2)}%`;
}

/** Writes the status of a DataVolume, unless it has gone or been replaced meanwhile. */
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
  await store.updateStatus('DataVolume', dataVolume.metadata, (status) => {
    if (phase !== undefined) status['phase'] = phase;
    if (progress !== undefined) status['progress'] = progressText(progress);
    if (!unbound) status['progress'] ??= 'N/A';
    if (restarts !== undefined) status['restartCount'] = restarts;
    if (!unbound) status['claimName'] = name;
    const bound = { reason: 'Bound', message: `PVC ${name} Bound`, ...unbound };
    setCondition(status, { type: 'Bound', status: unbound ? 'False' : 'True', ...bound }, now);
    setCondition(status, { type: 'Running', ...(running ?? { status: 'False', reason: '', message: '' }) }, now);
    setCondition(status, { type: 'Ready', status: phase === 'Succeeded' ? 'True' : 'False', ...unbound }, now);
  });
}
