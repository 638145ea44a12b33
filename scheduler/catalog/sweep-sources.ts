import { DEFAULTS } from '../../common/contracts/module/defaults.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import { isConflict } from '../../common/kubernetes/api-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { DataVolume, KubernetesObject, VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import type { SharedWatch } from '../../common/kubernetes/shared-watch.ts';
import { isFilling, unfinishedClones } from '../../common/kubernetes/unfinished-clones.ts';
import { type WatchEvent, watchObjects } from '../../common/kubernetes/watch-objects.ts';
import { lookAgain, type Wake } from '../../common/lifecycle/look-again.ts';
import { atNotices } from '../../common/redis/notices.ts';
import { readDueSources, retireSource, type ShownSource } from '../../common/redis/sources.ts';
import { eachOf } from '../builds/each-of.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

/** Looks at the whole cluster this often, for sources that the farm does not know. */
const LOOK_AGAIN_MS = 300_000;

const { dataVolumes, claims } = RESOURCES;
/** Kinds of a source: clones read the snapshot, which was made from the claim of the volume. */
const PARTS: readonly Resource<KubernetesObject>[] = [RESOURCES.snapshots, dataVolumes, claims];

/** `snapshots` are all of the farm. */
export interface SourceSweepOptions extends ClusterWatchOptions {
  readonly snapshots: SharedWatch<VolumeSnapshot>;
}

/**
 * Removes the shared sources of a cluster: those that are whole `isoCacheTTL` after the last build that used them has ended, others
 * with that build, so that an import ends when no build wants it any more. Level-triggered, as `sweepOrphans`. Ends with `signal`.
 */
export async function sweepSources(options: SourceSweepOptions, signal: AbortSignal): Promise<void> {
  const { notices, cluster, clock, logger } = options;
  let everythingAt = 0;
  const look = async () => {
    const isFull = clock.now() >= everythingAt;
    const dueMs = await sweepSourcesOnce(options, { isFull }, signal);
    if (isFull) everythingAt = clock.now() + LOOK_AGAIN_MS;
    return Math.min(dueMs, Math.max(1, everythingAt - clock.now()));
  };
  const ended = atNotices(notices, (notice) => notice.kind === 'ended' && notice.cluster === cluster.name);
  const wake = [ended, ...whenFreed(options)];
  const loop = { what: 'Sweeping sources', fields: { cluster: cluster.name }, look, everyMs: LOOK_AGAIN_MS };
  await lookAgain({ ...loop, wake, clock, logger }, signal);
}

/**
 * One look at the sources that are due, or (`isFull`) at all of the cluster. Returns when another one is due, in ms (Infinity: none
 * is known); for those that are being removed, or held by a clone, by the cluster. The cluster is read before Redis decides, and objects are deleted by their uid: new objects of the same name stay.
 */
export async function sweepSourcesOnce(
  options: ClusterWatchOptions,
  { isFull }: { readonly isFull: boolean },
  signal: AbortSignal,
): Promise<number> {
  const { redis, cluster, logger } = options;
  const { due } = await readDueSources(redis, cluster.name);
  if (isFull || due.length > 0) {
    const found = await findSources(options, signal);
    const cloned = due.length > 0 ? await unfinishedClones(cluster, signal) : new Set<string>();
    await eachOf([...new Set([...due, ...(isFull ? found.keys() : [])])], async (name) => {
      const parts = found.get(name) ?? [];
      const fate = await retireSource(redis, cluster.name, {
        name,
        shown: shownAs(parts, cloned.has(name)),
        unknownMs: DEFAULTS.isoCacheTtlMs,
      });
      if (fate === 'going') for (const part of parts) await remove(options, part, signal);
      if (fate === 'gone' && due.includes(name))
        logger.info({ source: name, cluster: cluster.name }, 'A source is gone');
    });
  }
  return (await readDueSources(redis, cluster.name)).nextMs;
}

/** Rings when a part of a source has gone, and when a volume is not being filled any more, which may have been a clone of one. */
function whenFreed({ cluster, farm, snapshots }: SourceSweepOptions): Wake[] {
  const labels = sourceLabels(farm);
  const isGone = ({ type }: WatchEvent<KubernetesObject>) => type === 'deleted' || type === 'synced';
  const isFilled = (event: WatchEvent<DataVolume>) => event.type === 'changed' && !isFilling(event.object);
  return [
    (ring, signal) => snapshots.listen((event) => isGone(event) && ring(), signal),
    whenShown(cluster, { resource: claims, labels }, isGone),
    whenShown(cluster, { resource: dataVolumes }, (event) => isGone(event) || isFilled(event)),
  ];
}

function whenShown<T extends KubernetesObject>(
  cluster: ClusterClient,
  { resource, labels = {} }: { readonly resource: Resource<T>; readonly labels?: Readonly<Record<string, string>> },
  rings: (event: WatchEvent<T>) => boolean,
): Wake {
  return async (ring, signal) => {
    for await (const event of watchObjects(cluster, resource, { labels, signal })) if (rings(event)) ring();
  };
}

interface FoundPart {
  readonly resource: Resource<KubernetesObject>;
  readonly object: KubernetesObject;
}

/** The parts of the farm's sources that the cluster shows, by the name of the source. */
async function findSources(
  { cluster, farm }: ClusterWatchOptions,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly FoundPart[]>> {
  const labels = sourceLabels(farm);
  const found = new Map<string, FoundPart[]>();
  for (const resource of PARTS) {
    for (const object of (await cluster.list(resource, { labels, signal })).items) {
      const name = object.metadata?.name ?? '';
      found.set(name, [...(found.get(name) ?? []), { resource, object }]);
    }
  }
  return found;
}

function sourceLabels(farm: string) {
  return { [LABELS.farm]: farm, [LABELS.role]: 'source' };
}

function shownAs(parts: readonly FoundPart[], isCloned: boolean): ShownSource['shown'] {
  if (parts.length === 0) return 'gone';
  return isCloned ? 'cloned' : 'there';
}

async function remove(
  { cluster, logger }: ClusterWatchOptions,
  { resource, object: { metadata } }: FoundPart,
  signal: AbortSignal,
): Promise<void> {
  const { name = '', uid, deletionTimestamp } = metadata ?? {};
  if (!uid || deletionTimestamp) return;
  try {
    await cluster.delete(resource, name, { uid, signal });
    logger.info({ kind: resource.plural, name, cluster: cluster.name }, 'A source that no build uses is removed');
  } catch (error) {
    // Made again this moment: another object has the name.
    if (!isConflict(error)) throw error;
  }
}
