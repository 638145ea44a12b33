import type { Redis } from 'ioredis';
import { z } from 'zod';
import { blobsIn } from '../contracts/blobs.ts';
import type { ImageName, ImageTag, LayerNames } from '../contracts/images.ts';
import { type LayerRecord, type LayerSpec, writtenLayerSchema } from '../contracts/layers.ts';
import { FarmError } from '../errors/farm-error.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** A layer that is being made. */
export interface UnfinishedLayer {
  readonly layerKey: string;
  readonly layerBuild: string;
  readonly module: string;
  readonly cluster: string;
  /** Of the modules that were asked for. */
  readonly spec?: LayerSpec;
  /** Whether some of it has been done. */
  readonly isBegun: boolean;
}

/** The finished layers, by layerKey. */
export interface FinishedLayers {
  readonly layers: ReadonlyMap<string, LayerRecord>;
  /** Layer key of the newest finished version by module name. */
  readonly newest: ReadonlyMap<string, string>;
  /** The versions of all modules; a layer has one or more. */
  readonly images: readonly ImageName[];
  readonly tags: readonly ImageTag[];
}

/** The finished layers, and those that wait or are being built. */
export interface LayerCatalog extends FinishedLayers {
  readonly unfinished: ReadonlyMap<string, UnfinishedLayer>;
  /** How long machines of a module held their slots before (seconds), by its name. */
  readonly machineSeconds: ReadonlyMap<string, number>;
}

const storedSchema = z.looseObject({ createdAtMs: z.number().optional() });

/** A record as scripts and `restoreLayer` store it. */
export function readLayerRecord(text: string): LayerRecord {
  const { createdAtMs, ...record } = storedSchema.parse(JSON.parse(text));
  return writtenLayerSchema.parse(
    createdAtMs === undefined ? record : { ...record, createdAt: new Date(createdAtMs).toISOString() },
  );
}

/** The finished layers as they are stored. */
interface StoredLayers {
  readonly layers: readonly string[];
  readonly images: readonly string[];
  readonly tags: readonly string[];
  readonly newest: Readonly<Record<string, string>>;
}

/** A catalog as it is stored; parsing it takes long on a large farm, so `parseCatalog` is called where no request waits for it. */
export interface StoredCatalog extends StoredLayers {
  readonly unfinished: readonly StoredUnfinishedLayer[];
  /** As `KEYS.durations`. */
  readonly durations: Readonly<Record<string, string>>;
}

const MACHINES = 'machines/';

/** As `UnfinishedLayer`, its specification not read. */
type StoredUnfinishedLayer = Omit<UnfinishedLayer, 'spec'> & { readonly spec: string | null };

/** All finished layers. @throws RedisUnavailable */
export async function readLayers(redis: Redis): Promise<FinishedLayers> {
  return parseLayers(await readStoredLayers(redis));
}

async function readStoredLayers(redis: Redis): Promise<StoredLayers> {
  const reading = [redis.hvals(KEYS.layers), redis.hvals(KEYS.images), redis.hvals(KEYS.tags)] as const;
  const [[layers, images, tags], newest] = await readRedis(
    Promise.all([Promise.all(reading), redis.hgetall(KEYS.newest)]),
  );
  return { layers, images, tags, newest };
}

/** A finished layer; undefined when there is none. @throws RedisUnavailable */
export async function readLayer(redis: Redis, layerKey: string): Promise<LayerRecord | undefined> {
  const text = await readRedis(redis.hget(KEYS.layers, layerKey));
  return text === null ? undefined : readLayerRecord(text);
}

/** A finished layer with its names. */
export interface NamedLayer {
  readonly record: LayerRecord;
  readonly names: LayerNames;
}

/** A layer that a script of this version has just returned; undefined when it is gone. @throws RedisUnavailable */
export async function readNamedLayer(redis: Redis, layerKey: string): Promise<NamedLayer | undefined> {
  const [text, images, tags] = await readRedis(
    Promise.all([
      redis.hget(KEYS.layers, layerKey),
      redis.smembers(KEYS.layerImages(layerKey)),
      redis.smembers(KEYS.layerTags(layerKey)),
    ]),
  );
  if (text === null) return undefined;
  const read = (hash: string, fields: readonly string[]) => (fields.length === 0 ? [] : redis.hmget(hash, ...fields));
  const [named, tagged] = await readRedis(Promise.all([read(KEYS.images, images), read(KEYS.tags, tags)]));
  const own = <T extends { layerKey: string }>(texts: readonly (string | null)[], parse: (given: string) => T) =>
    texts.flatMap((given) => (given === null ? [] : [parse(given)])).filter((name) => name.layerKey === layerKey);
  return {
    record: readLayerRecord(text),
    names: { images: own(named, readImageName), tags: own(tagged, readImageTag) },
  };
}

function parseLayers({ layers: texts, images: names, tags, newest }: StoredLayers): FinishedLayers {
  const layers = new Map(texts.map(readLayerRecord).map((record) => [record.layerKey, record]));
  // Layers that changed between two of these answers are left out.
  const named = names.map(readImageName).filter(({ layerKey }) => layers.has(layerKey));
  const known = new Set(named.map(({ layerKey }) => layerKey));
  const unnamed = [...layers.values()].filter(({ layerKey }) => !known.has(layerKey));
  return {
    layers,
    newest: new Map(Object.entries(newest)),
    images: [...named, ...unnamed.map(nameInRecord)],
    tags: tags.map(readImageTag).filter(({ layerKey }) => layers.has(layerKey)),
  };
}

/** Names of a layer from a farm in which a layer had a single name. */
export function nameInRecord({ module, version, layerKey, createdAt }: LayerRecord): ImageName {
  return { module, version, layerKey, namedAt: createdAt, by: null };
}

const storedNameSchema = z.object({
  module: z.string(),
  version: z.int(),
  layerKey: z.string(),
  namedAtMs: z.number(),
  by: z.string(),
});

function readImageName(text: string): ImageName {
  const { namedAtMs, by, ...name } = storedNameSchema.parse(JSON.parse(text));
  return { ...name, namedAt: new Date(namedAtMs).toISOString(), by: by || null };
}

const storedTagSchema = z.object({
  module: z.string(),
  tag: z.string(),
  version: z.int(),
  layerKey: z.string(),
  setAtMs: z.number(),
  by: z.string(),
});

function readImageTag(text: string): ImageTag {
  const { setAtMs, ...tag } = storedTagSchema.parse(JSON.parse(text));
  return { ...tag, setAt: new Date(setAtMs).toISOString() };
}

/**
 * All layers that a plan may start from; of running layer builds only the specifications of the named modules, because there may be
 * tens of thousands, and a plan looks at those of its parents. @throws RedisUnavailable
 */
export async function readCatalog(redis: Redis, parents: ReadonlySet<string>): Promise<StoredCatalog> {
  const [finished, [ids, durations]] = await Promise.all([
    readStoredLayers(redis),
    readRedis(Promise.all([redis.hgetall(KEYS.building), redis.hgetall(KEYS.durations)])),
  ]);
  const unfinished = await Promise.all(
    Object.entries(ids).map(async ([layerKey, layerBuild]): Promise<StoredUnfinishedLayer[]> => {
      const stored = KEYS.layerBuild(layerBuild);
      const [module, cluster, startedAt] = await readRedis(redis.hmget(stored, 'module', 'cluster', 'startedAt'));
      if (!module || !cluster) return [];
      const spec = parents.has(module) ? await readRedis(redis.hget(stored, 'spec')) : null;
      return [{ layerKey, layerBuild, module, cluster, spec, isBegun: startedAt !== null }];
    }),
  );
  return { ...finished, unfinished: unfinished.flat(), durations };
}

export function parseCatalog({ unfinished, durations, ...finished }: StoredCatalog): LayerCatalog {
  const parsed = unfinished.map(({ spec, ...layer }): [string, UnfinishedLayer] => [
    layer.layerKey,
    { ...layer, ...(spec === null ? {} : { spec: JSON.parse(spec) as LayerSpec }) },
  ]);
  const machineSeconds = Object.entries(durations).flatMap(([what, ms]): [string, number][] =>
    what.startsWith(MACHINES) ? [[what.slice(MACHINES.length), Number(ms) / 1000]] : [],
  );
  return { ...parseLayers(finished), unfinished: new Map(parsed), machineSeconds: new Map(machineSeconds) };
}

/** SHA-256 of every local file that an unfinished layer build uses. @throws RedisUnavailable */
export async function readNeededBlobs(redis: Redis): Promise<ReadonlySet<string>> {
  const needed = new Set<string>();
  for (const stored of await readRedis(redis.smembers(KEYS.living))) {
    const spec = await readRedis(redis.hget(KEYS.layerBuild(stored), 'spec'));
    for (const sha256 of blobsIn(spec ?? '')) needed.add(sha256);
  }
  return needed;
}

/** Puts a layer read off a cluster back; false when it is known. @throws RedisUnavailable */
export async function restoreLayer(redis: Redis, record: LayerRecord, names?: LayerNames): Promise<boolean> {
  const { images, tags } = names ?? { images: [nameInRecord(record)], tags: [] };
  const stored = images.map(({ namedAt, by, ...name }) => ({ ...name, namedAtMs: Date.parse(namedAt), by: by ?? '' }));
  const storedTags = tags.map(({ setAt, ...tag }) => ({ ...tag, setAtMs: Date.parse(setAt) }));
  const args = [record.layerKey, JSON.stringify(record), JSON.stringify(stored), JSON.stringify(storedTags)];
  return (await runScript(redis, 'restore-layer', args)) === 1;
}

/**
 * Gives a tag to a version that `readLayers` showed. The version that had it before, or null.
 * @throws NotFound when the version is gone meanwhile, RedisUnavailable
 */
export async function tagImage(
  redis: Redis,
  { module, version, layerKey }: ImageName,
  tag: TagOrder,
): Promise<number | null> {
  const former = await runScript(redis, 'tag-image', [module, tag.tag, version, layerKey, tag.by]);
  if (typeof former === 'number') return former || null;
  throw new FarmError('NotFound', `${module}:${version} was removed a moment ago.`);
}

/** A tag, and the name of the token that asks for it. */
export interface TagOrder {
  readonly tag: string;
  readonly by: string;
}

/** Takes a tag away. The version that had it, or null. @throws RedisUnavailable */
export async function untagImage(redis: Redis, module: string, tag: string): Promise<number | null> {
  const former = await runScript(redis, 'untag-image', [module, tag]);
  return typeof former === 'number' ? former : null;
}

/** Drops a layer whose snapshots are gone, unless it was made again since. @throws RedisUnavailable */
export async function forgetLayer(redis: Redis, record: LayerRecord): Promise<boolean> {
  return (await runScript(redis, 'forget-layer', [record.layerKey, record.layerBuild])) === 1;
}
