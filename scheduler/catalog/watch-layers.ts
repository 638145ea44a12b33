import type { z } from 'zod';
import { groupByLayer, type LayerNames, layerNamesSchema } from '../../common/contracts/images.ts';
import { type LayerRecord, writtenLayerSchema } from '../../common/contracts/layers.ts';
import { ANNOTATIONS, LABELS } from '../../common/contracts/object-names.ts';
import { isNotFound } from '../../common/kubernetes/api-error.ts';
import type { VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { watchObjects } from '../../common/kubernetes/watch-objects.ts';
import { lookAgain, type Wake } from '../../common/lifecycle/look-again.ts';
import { readWorkState } from '../../common/redis/builds.ts';
import { forgetLayer, readLayers, restoreLayer } from '../../common/redis/layers.ts';
import { atNotices } from '../../common/redis/notices.ts';
import { clearRemovedLayers } from './clear-removed-layers.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

const LOOK_AGAIN_MS = 300_000;
/** While snapshots of removed layers are on their way out. */
const STILL_GOING_MS = 5_000;

/**
 * Keeps the catalog and the snapshots of a cluster in step: every layer's record stands on its snapshots, a layer whose
 * snapshots are gone is forgotten, what is left of a removed one goes, and one that Redis has lost is read back from the
 * cluster. Ends with `signal`.
 */
export async function watchLayers(options: ClusterWatchOptions, signal: AbortSignal): Promise<void> {
  const { notices, cluster, clock, logger } = options;
  const snapshots = new Map<string, VolumeSnapshot>();
  let isSynced = false;
  const follow: Wake = async (ring) => {
    const labels = { [LABELS.farm]: options.farm, [LABELS.role]: 'layer' };
    for await (const event of watchObjects(cluster, RESOURCES.snapshots, { labels, signal })) {
      if (event.type === 'synced') {
        snapshots.clear();
        for (const snapshot of event.objects) snapshots.set(nameOf(snapshot), snapshot);
        isSynced = true;
        ring();
      } else if (event.type === 'changed') {
        snapshots.set(nameOf(event.object), event.object);
      } else if (event.type === 'deleted') {
        snapshots.delete(nameOf(event.object));
        ring();
      }
    }
  };
  const look = async () => (!isSynced || (await reconcileLayers(options, snapshots, signal)) ? null : STILL_GOING_MS);
  const noticed = atNotices(notices, (notice) => notice.kind === 'layer' && notice.cluster === cluster.name);
  const loop = { what: 'Reading layers back', fields: { cluster: cluster.name }, look, everyMs: LOOK_AGAIN_MS };
  await lookAgain({ ...loop, wake: [noticed, follow], clock, logger }, signal);
}

/** One look at what the cluster shows (by name of the snapshot) and what the catalog says. False: something is still going. */
export async function reconcileLayers(
  options: ClusterWatchOptions,
  snapshots: ReadonlyMap<string, VolumeSnapshot>,
  signal: AbortSignal,
): Promise<boolean> {
  const { redis, cluster, logger } = options;
  const { layers, images, tags } = await readLayers(redis);
  const records = [...layers.values()].filter((record) => record.cluster === cluster.name);
  const namesBy = groupByLayer(images);
  const tagsBy = groupByLayer(tags);
  for (const record of records) {
    const missing = namesOf(record).filter((name) => !snapshots.has(name));
    // The watch may not show yet what was made a moment ago: ask before forgetting.
    if (await isAnyGone(options, missing, signal)) {
      await forgetLayer(redis, record);
      logger.warn({ layerKey: record.layerKey, module: record.module }, 'A layer is gone from its cluster');
    } else {
      const names = { images: namesBy.get(record.layerKey) ?? [], tags: tagsBy.get(record.layerKey) ?? [] };
      await mirror(options, { record, names, snapshots }, signal);
    }
  }
  const going = await clearRemovedLayers(options, signal);
  const known = new Set(records.map(({ layerKey }) => layerKey));
  for (const { record, names } of mirroredRecords(snapshots)) {
    if (known.has(record.layerKey) || record.cluster !== cluster.name) continue;
    known.add(record.layerKey);
    if (going.has(record.layerBuild)) continue;
    if (!namesOf(record).every((name) => snapshots.has(name))) continue;
    // A work that the farm knows has registered its layer itself; what it does not list was replaced or forgotten.
    if (await readWorkState(redis, record.layerBuild)) continue;
    if (await restoreLayer(redis, record, names)) {
      logger.info({ layerKey: record.layerKey, module: record.module }, 'A layer was read back from its cluster');
    }
  }
  return going.size === 0;
}

async function isAnyGone(
  { cluster }: ClusterWatchOptions,
  names: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  for (const name of names) {
    if (!(await cluster.get(RESOURCES.snapshots, name, { signal }))) return true;
  }
  return false;
}

interface Mirrored {
  readonly record: LayerRecord;
  readonly names: LayerNames;
  readonly snapshots: ReadonlyMap<string, VolumeSnapshot>;
}

/** Writes the record and its names on the snapshots that do not carry them. */
async function mirror(
  { cluster }: ClusterWatchOptions,
  { record, names, snapshots }: Mirrored,
  signal: AbortSignal,
): Promise<void> {
  const wanted = { [ANNOTATIONS.layer]: JSON.stringify(record), [ANNOTATIONS.names]: JSON.stringify(names) };
  for (const name of namesOf(record)) {
    const annotations = snapshots.get(name)?.metadata?.annotations ?? {};
    if (Object.entries(wanted).every(([key, text]) => annotations[key] === text)) continue;
    const patch = { metadata: { annotations: wanted } };
    try {
      await cluster.mergePatch(RESOURCES.snapshots, name, patch, { signal });
    } catch (error) {
      // Removed this moment: the next look forgets the layer.
      if (!isNotFound(error)) throw error;
    }
  }
}

/** Newest first, so that of two layers of one key the later one is read back. */
function mirroredRecords(
  snapshots: ReadonlyMap<string, VolumeSnapshot>,
): { readonly record: LayerRecord; readonly names: LayerNames | undefined }[] {
  const records = [...snapshots.values()].flatMap(({ metadata }) => {
    const record = readAnnotation(metadata?.annotations?.[ANNOTATIONS.layer], writtenLayerSchema);
    const names = readAnnotation(metadata?.annotations?.[ANNOTATIONS.names], layerNamesSchema);
    return record ? [{ record, names: isOf(record, names) ? names : undefined }] : [];
  });
  return records.toSorted((a, b) => b.record.version - a.record.version);
}

/** People copy annotations; a layer that has no name could not be removed. */
function isOf({ layerKey }: LayerRecord, names: LayerNames | undefined): boolean {
  if (!names || names.images.length === 0) return false;
  return [...names.images, ...names.tags].every((name) => name.layerKey === layerKey);
}

function readAnnotation<T>(text: string | undefined, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text ?? '')).data;
  } catch {
    return undefined;
  }
}

function namesOf(record: LayerRecord): string[] {
  return record.vms.flatMap((vm) => vm.disks.map((disk) => disk.snapshot));
}

function nameOf({ metadata }: VolumeSnapshot): string {
  return metadata?.name ?? '';
}
