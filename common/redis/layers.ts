import type { Redis } from 'ioredis';
import { z } from 'zod';
import { blobsIn } from '../contracts/blobs.ts';
import { type LayerRecord, type LayerSpec, writtenLayerSchema } from '../contracts/layers.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** A layer that is being made. */
export interface Flight {
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
}

/** The finished layers and those in flight. */
export interface LayerCatalog extends FinishedLayers {
  readonly flights: ReadonlyMap<string, Flight>;
}

const storedSchema = z.looseObject({ createdAtMs: z.number().optional() });

/** A record as scripts and `restoreLayer` store it. */
export function readLayerRecord(text: string): LayerRecord {
  const { createdAtMs, ...record } = storedSchema.parse(JSON.parse(text));
  return writtenLayerSchema.parse(
    createdAtMs === undefined ? record : { ...record, createdAt: new Date(createdAtMs).toISOString() },
  );
}

/** All finished layers. @throws RedisUnavailable */
export async function readLayers(redis: Redis): Promise<FinishedLayers> {
  const [texts, newest] = await readRedis(Promise.all([redis.hvals(KEYS.layers), redis.hgetall(KEYS.newest)]));
  const records = texts.map(readLayerRecord);
  return {
    layers: new Map(records.map((record) => [record.layerKey, record])),
    newest: new Map(Object.entries(newest)),
  };
}

/**
 * Everything that a plan may start from; of what is in flight the specifications of the named modules only, because there may be
 * tens of thousands, and a plan looks at those of its parents. @throws RedisUnavailable
 */
export async function readCatalog(redis: Redis, parents: ReadonlySet<string>): Promise<LayerCatalog> {
  const [finished, flying] = await Promise.all([readLayers(redis), readRedis(redis.hgetall(KEYS.flights))]);
  const flights = await Promise.all(
    Object.entries(flying).map(async ([layerKey, layerBuild]): Promise<[string, Flight][]> => {
      const work = KEYS.work(layerBuild);
      const [module, cluster, startedAt] = await readRedis(redis.hmget(work, 'module', 'cluster', 'startedAt'));
      if (!module || !cluster) return [];
      const text = parents.has(module) ? await readRedis(redis.hget(work, 'spec')) : null;
      const spec = text === null ? {} : { spec: JSON.parse(text) as LayerSpec };
      return [[layerKey, { layerKey, layerBuild, module, cluster, ...spec, isBegun: startedAt !== null }]];
    }),
  );
  return { ...finished, flights: new Map(flights.flat()) };
}

/** SHA-256 of every local file that a layer in the making is made from. @throws RedisUnavailable */
export async function readNeededBlobs(redis: Redis): Promise<ReadonlySet<string>> {
  const needed = new Set<string>();
  for (const work of await readRedis(redis.smembers(KEYS.living))) {
    const spec = await readRedis(redis.hget(KEYS.work(work), 'spec'));
    for (const sha256 of blobsIn(spec ?? '')) needed.add(sha256);
  }
  return needed;
}

/** Puts a layer read off a cluster back; false when it is known. @throws RedisUnavailable */
export async function restoreLayer(redis: Redis, record: LayerRecord): Promise<boolean> {
  const args = [record.layerKey, record.module, record.version, JSON.stringify(record)];
  return (await runScript(redis, 'restore-layer', args)) === 1;
}

/** Drops a layer whose snapshots are gone, unless it was made again since. @throws RedisUnavailable */
export async function forgetLayer(redis: Redis, record: LayerRecord): Promise<boolean> {
  return (await runScript(redis, 'forget-layer', [record.layerKey, record.layerBuild])) === 1;
}
