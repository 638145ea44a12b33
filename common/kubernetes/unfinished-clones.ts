import type { ClusterClient } from './cluster-client.ts';
import type { DataVolume } from './objects.ts';
import { RESOURCES } from './resources.ts';

/**
 * Snapshots that volumes are being cloned from, by any client. A cluster does not protect them: a clone whose snapshot
 * is deleted never ends.
 */
export async function unfinishedClones(cluster: ClusterClient, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const { items } = await cluster.list(RESOURCES.dataVolumes, { signal });
  return new Set(items.filter(isFilling).flatMap(({ spec }) => spec.source?.snapshot?.name ?? []));
}

/** Whether a volume reads, or will read, its source. */
export function isFilling({ metadata, status }: DataVolume): boolean {
  return !metadata?.deletionTimestamp && status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
}
