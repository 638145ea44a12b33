import { type KubeObject, timestamp } from '../api/objects.ts';
import { setCondition, type WantedCondition } from './conditions.ts';
import type { ControllerContext } from './context.ts';

/** Phases of a DataVolume that occur here (CDI's DataVolumePhase). */
export type DataVolumePhase =
  | 'Pending'
  | 'ImportScheduled'
  | 'ImportInProgress'
  | 'CloneScheduled'
  | 'CloneInProgress'
  | 'CloneFromSnapshotSourceInProgress'
  | 'Succeeded'
  | 'Failed';

/** What changes in the status of a DataVolume; what is absent stays. */
export interface DataVolumeChange {
  readonly phase: DataVolumePhase;
  /** 0 to 1; "N/A" when absent and none was known before. */
  readonly progress?: number;
  readonly restarts?: number;
  readonly running: Pick<WantedCondition, 'status' | 'reason' | 'message'>;
  readonly isBound?: boolean;
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
  await store.updateStatus('DataVolume', dataVolume.metadata, (status) => {
    status['phase'] = change.phase;
    if (change.progress !== undefined) status['progress'] = progressText(change.progress);
    status['progress'] ??= 'N/A';
    if (change.restarts !== undefined) status['restartCount'] = change.restarts;
    if (change.isBound) status['claimName'] = dataVolume.metadata.name;
    setCondition(status, bound(change.isBound ?? true, dataVolume.metadata.name), now);
    setCondition(status, { type: 'Running', ...change.running }, now);
    setCondition(status, ready(change.phase), now);
  });
}

function bound(isBound: boolean, name: string): WantedCondition {
  return isBound
    ? { type: 'Bound', status: 'True', reason: 'Bound', message: `PVC ${name} Bound` }
    : { type: 'Bound', status: 'False', reason: 'Pending', message: `PVC ${name} Pending` };
}

function ready(phase: DataVolumePhase): WantedCondition {
  return { type: 'Ready', status: phase === 'Succeeded' ? 'True' : 'False' };
}
