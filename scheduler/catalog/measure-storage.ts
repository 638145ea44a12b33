import type { Redis } from 'ioredis';
import { LABELS } from '../../common/contracts/object-keys.ts';
import type { ClusterStorage, SharedSource } from '../../common/contracts/storage.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { isNotFound } from '../../common/kubernetes/api-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { KubernetesObject, PersistentVolumeClaim } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { readLayerBuildState } from '../../common/redis/layer-builds.ts';
import { readSources } from '../../common/redis/sources.ts';
import { parseQuantity } from '../../common/text/quantity.ts';

/** Whose storage is measured. */
export interface MeasuredStorage {
  readonly redis: Redis;
  readonly farm: string;
  readonly cluster: Pick<ClusterClient, 'name' | 'list'>;
  /** Of the configuration; absent: every class counts. */
  readonly storageClass?: string | undefined;
}

const NONE = { count: 0, bytes: 0 };

/** Storage of a cluster that the farm uses. A cluster that does not answer is a row with its error. */
export async function measureStorage(options: MeasuredStorage): Promise<ClusterStorage> {
  const { name } = options.cluster;
  try {
    return { cluster: name, error: null, ...(await measure(options)) };
  } catch (error) {
    const nothing = { images: NONE, sources: { ...NONE, each: [] }, working: NONE, failed: NONE, freeBytes: null };
    return { cluster: name, error: errorMessage(error), ...nothing };
  }
}

async function measure({ redis, farm, cluster, storageClass }: MeasuredStorage) {
  const own = `${LABELS.farm}=${farm}`;
  const [snapshots, claims, freeBytes] = await Promise.all([
    cluster.list(RESOURCES.snapshots, { labels: `${own},${LABELS.role}=layer` }),
    cluster.list(RESOURCES.claims, { labels: own }),
    readFree(cluster, storageClass),
  ]);
  const sources = claims.items.filter((claim) => roleOf(claim) === 'source');
  const failed = await failedLayerBuilds(redis, claims.items);
  const of = (kept: (claim: PersistentVolumeClaim) => boolean) => total(claims.items.filter(kept), claimBytes);
  return {
    images: total(snapshots.items, ({ status }) => bytesOf(status?.restoreSize)),
    sources: { ...total(sources, claimBytes), each: await describeSources(redis, cluster.name, sources) },
    working: of((claim) => roleOf(claim) !== 'source' && !failed.has(layerBuildOf(claim))),
    failed: of((claim) => roleOf(claim) !== 'source' && failed.has(layerBuildOf(claim))),
    freeBytes,
  };
}

/** The next to go first; those in use last. */
async function describeSources(
  redis: Redis,
  cluster: string,
  claims: readonly PersistentVolumeClaim[],
): Promise<SharedSource[]> {
  const names = claims.map(({ metadata }) => metadata?.name ?? '');
  const known = await readSources(redis, cluster, names);
  const each = claims.map((claim, index): SharedSource => {
    const name = names[index] ?? '';
    const { what = null, usedAt = null, keepUntil = null } = known.get(name) ?? {};
    return { name, what, bytes: claimBytes(claim), usedAt: isoTime(usedAt), removedAt: isoTime(keepUntil) };
  });
  return each.toSorted((a, b) => (a.removedAt ?? '~').localeCompare(b.removedAt ?? '~'));
}

function isoTime(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

/** The layer builds among those of some claims that have ended without a layer, or were forgotten. */
async function failedLayerBuilds(redis: Redis, claims: readonly PersistentVolumeClaim[]): Promise<ReadonlySet<string>> {
  const layerBuilds = [...new Set(claims.map(layerBuildOf))].filter((layerBuild) => layerBuild !== '');
  const states = await Promise.all(layerBuilds.map((layerBuild) => readLayerBuildState(redis, layerBuild)));
  const hasFailed = (state: (typeof states)[number] | undefined) =>
    !state || (state.finishedAt !== null && state.state !== 'succeeded');
  return new Set(layerBuilds.filter((_, index) => hasFailed(states[index])));
}

/** Null where no driver reports free storage. Several segments of a topology add up. */
export async function readFree(
  cluster: MeasuredStorage['cluster'],
  storageClass: string | undefined,
): Promise<number | null> {
  try {
    const { items } = await cluster.list(RESOURCES.storageCapacities, {});
    const counted = items.filter((item) => storageClass === undefined || item.storageClassName === storageClass);
    return counted.length === 0 ? null : counted.reduce((sum, { capacity }) => sum + bytesOf(capacity), 0);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

function total<T>(items: readonly T[], bytes: (item: T) => number): { count: number; bytes: number } {
  return { count: items.length, bytes: items.reduce((sum, item) => sum + bytes(item), 0) };
}

function claimBytes({ status, spec }: PersistentVolumeClaim): number {
  return bytesOf(status?.capacity?.['storage'] ?? spec?.resources?.requests?.['storage']);
}

function bytesOf(quantity: string | undefined): number {
  return Math.round(parseQuantity(quantity) ?? 0);
}

function roleOf({ metadata }: KubernetesObject): string | undefined {
  return metadata?.labels?.[LABELS.role];
}

function layerBuildOf({ metadata }: KubernetesObject): string {
  return metadata?.labels?.[LABELS.layerBuild] ?? '';
}
