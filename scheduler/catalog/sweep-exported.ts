import { LABELS } from '../../common/contracts/object-keys.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import { EXPORT_HOURS, EXPORT_ROLE } from '../exports/disk-reading.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

const HOUR_MS = 3_600_000;

/** Removes volumes that schedulers which died in the middle of an export left on a cluster. Ends with `signal`. */
export async function sweepExported(options: ClusterWatchOptions, signal: AbortSignal): Promise<void> {
  const { cluster, clock, logger } = options;
  const look = async () => {
    await sweepExportedOnce(options, signal);
    return null;
  };
  const loop = { what: 'Sweeping exported volumes', fields: { cluster: cluster.name }, look, everyMs: HOUR_MS };
  await lookAgain({ ...loop, clock, logger }, signal);
}

/** The pod that reads a volume goes with it; a VirtualMachineExport ends by itself. */
export async function sweepExportedOnce(
  { cluster, farm, clock, logger }: Pick<ClusterWatchOptions, 'cluster' | 'farm' | 'clock' | 'logger'>,
  signal: AbortSignal,
): Promise<void> {
  const labels = { [LABELS.farm]: farm, [LABELS.role]: EXPORT_ROLE };
  const { items } = await cluster.list(RESOURCES.dataVolumes, { labels, signal });
  for (const { metadata } of items) {
    const { name = '', uid = '', creationTimestamp = '' } = metadata ?? {};
    if (clock.now() - Date.parse(creationTimestamp) < EXPORT_HOURS * HOUR_MS) continue;
    await cluster.delete(RESOURCES.dataVolumes, name, { uid, signal });
    logger.info({ name, cluster: cluster.name }, 'The volume of an export whose scheduler died is removed');
  }
}
