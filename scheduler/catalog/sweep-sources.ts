import { DEFAULTS } from '../../common/contracts/module/defaults.ts';
import { LABELS } from '../../common/contracts/object-names.ts';
import { isConflict } from '../../common/kubernetes/api-error.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { unfinishedClones } from '../../common/kubernetes/unfinished-clones.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import { atNotices } from '../../common/redis/notices.ts';
import { readDueSources, retireSource, type ShownSource } from '../../common/redis/sources.ts';
import { eachOf } from '../builds/each-of.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

/** Looks at the whole cluster this often, for sources that the farm does not know. */
const LOOK_AGAIN_MS = 300_000;
/** While sources are on their way out, or held by a clone. */
const STILL_GOING_MS = 10_000;

/** What a source consists of: clones read the snapshot, which was made from the claim of the volume. */
const PARTS: readonly Resource<KubernetesObject>[] = [RESOURCES.snapshots, RESOURCES.dataVolumes, RESOURCES.claims];

/**
 * Removes the shared sources of a cluster: those that are whole `isoCacheTTL` after the last build that used them has ended, others
 * with that build, so that an import ends when nobody wants it any more. Level-triggered, as `sweepOrphans`. Ends with `signal`.
 */
export async function sweepSources(options: ClusterWatchOptions, signal: AbortSignal): Promise<void> {
  const { notices, cluster, clock, logger } = options;
  let everythingAt = 0;
  const look = async () => {
    const isFull = clock.now() >= everythingAt;
    const dueMs = await sweepSourcesOnce(options, { isFull }, signal);
    if (isFull) everythingAt = clock.now() + LOOK_AGAIN_MS;
    return Math.min(dueMs, Math.max(1, everythingAt - clock.now()));
  };
  const wake = [atNotices(notices, (notice) => notice.kind === 'ended' && notice.cluster === cluster.name)];
  const loop = { what: 'Sweeping sources', fields: { cluster: cluster.name }, look, everyMs: LOOK_AGAIN_MS };
  await lookAgain({ ...loop, wake, clock, logger }, signal);
}

/**
 * One look at the sources that are due, or (`isFull`) at all of the cluster. Returns when the next one is due, in ms (Infinity: none
 * is known). The cluster is read before Redis decides, and objects are deleted by their uid: what is made again in between stays.
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
  const next = await readDueSources(redis, cluster.name);
  return next.due.length > 0 ? Math.min(STILL_GOING_MS, next.nextMs) : next.nextMs;
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
  const labels = { [LABELS.farm]: farm, [LABELS.role]: 'source' };
  const found = new Map<string, FoundPart[]>();
  for (const resource of PARTS) {
    for (const object of (await cluster.list(resource, { labels, signal })).items) {
      const name = object.metadata?.name ?? '';
      found.set(name, [...(found.get(name) ?? []), { resource, object }]);
    }
  }
  return found;
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
