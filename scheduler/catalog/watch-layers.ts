import type { z } from 'zod';
import { groupByLayer, type LayerNames, layerNamesSchema } from '../../common/contracts/images.ts';
import { type LayerRecord, writtenLayerSchema } from '../../common/contracts/layers.ts';
import { ANNOTATIONS, LABELS } from '../../common/contracts/object-keys.ts';
import { isNotFound } from '../../common/kubernetes/api-error.ts';
import type { VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import type { SharedWatch } from '../../common/kubernetes/shared-watch.ts';
import { lookAgain, type Wake } from '../../common/lifecycle/look-again.ts';
import { readLayerBuildState } from '../../common/redis/layer-builds.ts';
import { forgetLayer, type NamedLayer, readLayers, readNamedLayer, restoreLayer } from '../../common/redis/layers.ts';
import { clearRemovedLayers } from './clear-removed-layers.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

const LOOK_AGAIN_MS = 300_000;
/** While snapshots of removed layers are on their way out. */
const STILL_GOING_MS = 5_000;
/** More layers than this are not looked at one by one; everything is looked at instead. */
const MOST_NAMED = 100;

/** `snapshots` are all of the farm. */
export interface LayerWatchOptions extends ClusterWatchOptions {
  readonly snapshots: SharedWatch<VolumeSnapshot>;
}

/**
 * Keeps the catalog and the snapshots of a cluster in step: every layer's record is stored on its snapshots, a layer whose
 * snapshots are gone is forgotten, the rest of a removed one is deleted, and one that Redis has lost is read back from the
 * cluster. Layers with notices are checked at once, all of them at intervals. Ends with `signal`.
 */
export async function watchLayers(options: LayerWatchOptions, signal: AbortSignal): Promise<void> {
  const { cluster, clock, logger } = options;
  const watch = new LayerWatch(options, signal);
  const wake = [watch.hearNotices, watch.followSnapshots];
  const loop = { what: 'Reading layers back', fields: { cluster: cluster.name }, look: watch.look };
  await lookAgain({ ...loop, everyMs: LOOK_AGAIN_MS, wake, clock, logger }, signal);
}

/** What is known of a cluster's snapshots, and which layers are to be looked at. */
class LayerWatch {
  readonly #options: LayerWatchOptions;
  readonly #signal: AbortSignal;
  /** By name. */
  readonly #snapshots = new Map<string, VolumeSnapshot>();
  /** Keys of layers with notices. */
  readonly #changed = new Set<string>();
  #isSynced = false;
  #isAllDue = true;
  #allAt = 0;

  constructor(options: LayerWatchOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  readonly hearNotices: Wake = (ring) => {
    const { notices, cluster } = this.#options;
    const stop = notices.listen((notice) => {
      if (notice.kind === 'reconnected') this.#isAllDue = true;
      else if (notice.kind === 'layer' && notice.cluster === cluster.name) this.#changed.add(notice.layerKey);
      else return;
      ring();
    });
    this.#signal.addEventListener('abort', stop, { once: true });
  };

  readonly followSnapshots: Wake = (ring) => {
    this.#options.snapshots.listen((event) => {
      if (event.type === 'synced') this.#replaceSnapshots(event.objects.filter(isOfLayer));
      else if (event.type === 'deleted' && isOfLayer(event.object)) this.#forgetSnapshot(event.object);
      else if (event.type === 'changed' && isOfLayer(event.object)) return this.#keepSnapshot(event.object);
      else return;
      ring();
    }, this.#signal);
  };

  /** Returns when to look again, ms; null before the snapshots are known. */
  readonly look = async (): Promise<number | null> => {
    if (!this.#isSynced) return null;
    const { clock } = this.#options;
    const layerKeys = [...this.#changed];
    const isFull = this.#isAllDue || clock.now() >= this.#allAt || layerKeys.length > MOST_NAMED;
    this.#changed.clear();
    this.#isAllDue = false;
    try {
      const isDone = isFull
        ? await reconcileLayers(this.#options, this.#snapshots, this.#signal)
        : await reconcileSome(this.#options, { snapshots: this.#snapshots, layerKeys }, this.#signal);
      if (isFull) this.#allAt = clock.now() + LOOK_AGAIN_MS;
      return isDone ? Math.max(1, this.#allAt - clock.now()) : STILL_GOING_MS;
    } catch (error) {
      this.#isAllDue = true;
      throw error;
    }
  };

  #replaceSnapshots(all: readonly VolumeSnapshot[]): void {
    this.#snapshots.clear();
    for (const snapshot of all) this.#keepSnapshot(snapshot);
    this.#isSynced = true;
    this.#isAllDue = true;
  }

  #keepSnapshot(snapshot: VolumeSnapshot): void {
    this.#snapshots.set(nameOf(snapshot), snapshot);
  }

  #forgetSnapshot(snapshot: VolumeSnapshot): void {
    this.#snapshots.delete(nameOf(snapshot));
    const layerKey = recordOn(snapshot)?.layerKey;
    if (layerKey === undefined) this.#isAllDue = true;
    else this.#changed.add(layerKey);
  }
}

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

function recordOn({ metadata }: VolumeSnapshot): LayerRecord | undefined {
  return readAnnotation(metadata?.annotations?.[ANNOTATIONS.layer], writtenLayerSchema);
}

function readAnnotation<T>(text: string | undefined, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text ?? '')).data;
  } catch {
    return undefined;
  }
}

function isOfLayer({ metadata }: VolumeSnapshot): boolean {
  return metadata?.labels?.[LABELS.role] === 'layer';
}

function namesOf(record: LayerRecord): string[] {
  return record.vms.flatMap((vm) => vm.disks.map((disk) => disk.snapshot));
}

function nameOf({ metadata }: VolumeSnapshot): string {
  return metadata?.name ?? '';
}
