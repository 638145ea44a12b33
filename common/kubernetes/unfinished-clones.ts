import type { ClusterClient } from './cluster-client.ts';
import { RESOURCES } from './resources.ts';

/**
 * Snapshots that volumes are being cloned from, by any client. Nothing protects them in a cluster: a clone whose snapshot
 * is deleted never ends.
 */
export async function unfinishedClones(cluster: ClusterClient, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const { items } = await cluster.list(RESOURCES.dataVolumes, { signal });
  const unfinished = items.filter(({ metadata, status }) => {
    return !metadata?.deletionTimestamp && status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
  });
  return new Set(unfinished.flatMap(({ spec }) => spec.source?.snapshot?.name ?? []));
}
