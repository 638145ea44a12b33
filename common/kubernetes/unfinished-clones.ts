import type { ClusterClient } from './cluster-client.ts';
import { RESOURCES } from './resources.ts';

/**
 * Snapshots that volumes are being cloned from, whoever makes them. Nothing protects them in a cluster: a clone whose snapshot
 * is deleted stays as it is for ever.
 */
export async function unfinishedClones(cluster: ClusterClient, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const { items } = await cluster.list(RESOURCES.dataVolumes, { signal });
  const unfinished = items.filter(({ metadata, status }) => {
    return !metadata?.deletionTimestamp && status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
  });
  return new Set(unfinished.flatMap(({ spec }) => spec.source?.snapshot?.name ?? []));
}
