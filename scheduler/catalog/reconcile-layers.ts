import type { z } from 'zod';
import { groupByLayer, type LayerNames, layerNamesSchema } from '../../common/contracts/images.ts';
import { type LayerRecord, writtenLayerSchema } from '../../common/contracts/layers.ts';
import { ANNOTATIONS } from '../../common/contracts/object-keys.ts';
import { isNotFound } from '../../common/kubernetes/api-error.ts';
import type { VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { readLayerBuildState } from '../../common/redis/layer-builds.ts';
import { forgetLayer, type NamedLayer, readLayers, readNamedLayer, restoreLayer } from '../../common/redis/layers.ts';
import { clearRemovedLayers } from './clear-removed-layers.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

/** Compares the cluster (by name of the snapshot) with the catalog once. False: a removal is still running. */
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
    const names = { images: namesBy.get(record.layerKey) ?? [], tags: tagsBy.get(record.layerKey) ?? [] };
    await settle(options, { record, names, snapshots }, signal);
  }
  const going = await clearRemovedLayers(options, signal);
  const known = new Set(records.map(({ layerKey }) => layerKey));
  for (const { record, names } of mirroredRecords(snapshots)) {
    if (known.has(record.layerKey) || record.cluster !== cluster.name) continue;
    known.add(record.layerKey);
    if (going.has(record.layerBuild)) continue;
    if (!namesOf(record).every((name) => snapshots.has(name))) continue;
    // A layer build that the farm knows has registered its layer itself; an unlisted one was replaced or forgotten.
    if (await readLayerBuildState(redis, record.layerBuild)) continue;
    if (await restoreLayer(redis, record, names)) {
      logger.info({ layerKey: record.layerKey, module: record.module }, 'A layer was read back from its cluster');
    }
  }
  return going.size === 0;
}

/** The same for layers with notices: its cost does not grow with the number of layers. */
export async function reconcileSome(
  options: ClusterWatchOptions,
  { snapshots, layerKeys }: Pick<Mirrored, 'snapshots'> & { readonly layerKeys: readonly string[] },
  signal: AbortSignal,
): Promise<boolean> {
  for (const layerKey of layerKeys) {
    const layer = await readNamedLayer(options.redis, layerKey);
    if (layer?.record.cluster === options.cluster.name) await settle(options, { ...layer, snapshots }, signal);
  }
  return (await clearRemovedLayers(options, signal)).size === 0;
}

/** Forgets a layer whose snapshots are gone; snapshots of other layers get their current record. */
async function settle(options: ClusterWatchOptions, layer: Mirrored, signal: AbortSignal): Promise<void> {
  const { record, snapshots } = layer;
  const missing = namesOf(record).filter((name) => !snapshots.has(name));
  // The watch may not show new objects yet: read them before forgetting.
  if (!(await isAnyGone(options, missing, signal))) return mirror(options, layer, signal);
  await forgetLayer(options.redis, record);
  options.logger.warn({ layerKey: record.layerKey, module: record.module }, 'A layer is gone from its cluster');
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

interface Mirrored extends NamedLayer {
  readonly snapshots: ReadonlyMap<string, VolumeSnapshot>;
}

/** Writes the record and its names on the snapshots that do not carry them. */
async function mirror(
  { cluster }: ClusterWatchOptions,
  { record, names, snapshots }: Mirrored,
  signal: AbortSignal,
): Promise<void> {
  const desired = { [ANNOTATIONS.layer]: JSON.stringify(record), [ANNOTATIONS.names]: JSON.stringify(inOrder(names)) };
  for (const name of namesOf(record)) {
    const annotations = snapshots.get(name)?.metadata?.annotations ?? {};
    if (Object.entries(desired).every(([key, text]) => annotations[key] === text)) continue;
    const patch = { metadata: { annotations: desired } };
    try {
      await cluster.mergePatch(RESOURCES.snapshots, name, patch, { signal });
    } catch (error) {
      // Removed this moment: the next look forgets the layer.
      if (!isNotFound(error)) throw error;
    }
  }
}

/** Redis returns them in any order. */
function inOrder({ images, tags }: LayerNames): LayerNames {
  return {
    images: images.toSorted((a, b) => a.module.localeCompare(b.module) || a.version - b.version),
    tags: tags.toSorted((a, b) => a.module.localeCompare(b.module) || a.tag.localeCompare(b.tag)),
  };
}

/** Newest first, so that of two layers of one key the later one is read back. */
function mirroredRecords(
  snapshots: ReadonlyMap<string, VolumeSnapshot>,
): { readonly record: LayerRecord; readonly names: LayerNames | undefined }[] {
  const records = [...snapshots.values()].flatMap((snapshot) => {
    const { metadata } = snapshot;
    const record = recordOn(snapshot);
    const names = readAnnotation(metadata?.annotations?.[ANNOTATIONS.names], layerNamesSchema);
    return record ? [{ record, names: isOf(record, names) ? names : undefined }] : [];
  });
  return records.toSorted((a, b) => b.record.version - a.record.version);
}

/** People copy annotations; a layer without a name could not be removed. */
function isOf({ layerKey }: LayerRecord, names: LayerNames | undefined): boolean {
  if (!names || names.images.length === 0) return false;
  return [...names.images, ...names.tags].every((name) => name.layerKey === layerKey);
}

/** The record of its layer that a snapshot carries. */
export function recordOn({ metadata }: VolumeSnapshot): LayerRecord | undefined {
  return readAnnotation(metadata?.annotations?.[ANNOTATIONS.layer], writtenLayerSchema);
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
