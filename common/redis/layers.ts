import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type LayerRecord, type LayerSpec, layerRecordSchema } from '../contracts/layers.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** A layer that is being made. */
export interface Flight {
  readonly layerKey: string;
  readonly layerBuild: string;
  readonly module: string;
  readonly cluster: string;
  readonly spec: LayerSpec;
}

/** The finished layers and those in flight. */
export interface LayerCatalog {
  readonly layers: ReadonlyMap<string, LayerRecord>;
  /** Layer key of the newest finished version by module name. */
  readonly newest: ReadonlyMap<string, string>;
  readonly flights: ReadonlyMap<string, Flight>;
}

const storedSchema = z.looseObject({ createdAtMs: z.number().optional() });

/** A record as scripts and `restoreLayer` store it. */
export function readLayerRecord(text: string): LayerRecord {
  const { createdAtMs, ...record } = storedSchema.parse(JSON.parse(text));
  return layerRecordSchema.parse(
    createdAtMs === undefined ? record : { ...record, createdAt: new Date(createdAtMs).toISOString() },
  );
}

/** All finished layers. @throws RedisUnavailable */
export async function readLayers(redis: Redis): Promise<LayerRecord[]> {
  return (await readRedis(redis.hvals(KEYS.layers))).map(readLayerRecord);
}

/** Everything that a plan may start from. @throws RedisUnavailable */
export async function readCatalog(redis: Redis): Promise<LayerCatalog> {
  const [layers, newest, flying] = await readRedis(
    Promise.all([readLayers(redis), redis.hgetall(KEYS.newest), redis.hgetall(KEYS.flights)]),
  );
  const flights = await Promise.all(
    Object.entries(flying).map(async ([layerKey, layerBuild]): Promise<[string, Flight][]> => {
      const [module, cluster, spec] = await readRedis(redis.hmget(KEYS.work(layerBuild), 'module', 'cluster', 'spec'));
      if (!module || !cluster || !spec) return [];
      return [[layerKey, { layerKey, layerBuild, module, cluster, spec: JSON.parse(spec) as LayerSpec }]];
    }),
  );
  return {
    layers: new Map(layers.map((record) => [record.layerKey, record])),
    newest: new Map(Object.entries(newest)),
    flights: new Map(flights.flat()),
  };
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
