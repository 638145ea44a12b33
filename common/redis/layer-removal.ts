import type { Redis } from 'ioredis';
import type { LayerRecord } from '../contracts/layers.ts';
import { KEYS } from './keys.ts';
import { readLayerRecord } from './layers.ts';
import { readRedis, runScript } from './scripts.ts';

/** Versions of one layer to be removed. */
export interface RemovalOrder {
  readonly layerKey: string;
  /** `module:version`; other names of the layer stay. */
  readonly versions: readonly string[];
}

/**
 * Result of an order. `needed`: an unfinished layer build starts from the layer; `tagged`: a version has a tag; `parent`:
 * other layers are based on it.
 */
export type RemovalOutcome = 'removed' | 'gone' | 'needed' | 'tagged' | 'parent';

/** So many orders are carried out at once: others wait for Redis meanwhile. */
const BATCH = 100;

/**
 * Removes versions, and layers with the last of theirs; children come before their parents. `force` also removes
 * tagged versions and parents, but no layer that a build needs. Outcomes in the order of the orders.
 * @throws RedisUnavailable
 */
export async function removeImages(
  redis: Redis,
  orders: readonly RemovalOrder[],
  { force = false }: { readonly force?: boolean } = {},
): Promise<RemovalOutcome[]> {
  const outcomes: RemovalOutcome[] = [];
  for (let start = 0; start < orders.length; start += BATCH) {
    const batch = JSON.stringify(orders.slice(start, start + BATCH));
    const reply = await runScript(redis, 'remove-images', [batch, force ? '1' : '']);
    outcomes.push(...(reply as RemovalOutcome[]));
  }
  return outcomes;
}

/** The layers that unfinished layer builds start from, with the names of their modules. @throws RedisUnavailable */
export async function readNeededLayers(redis: Redis): Promise<ReadonlyMap<string, readonly string[]>> {
  const needed = new Map<string, string[]>();
  const layerBuilds = await readRedis(redis.smembers(KEYS.living));
  const read = layerBuilds.map((layerBuild) => redis.hmget(KEYS.layerBuild(layerBuild), 'module', 'parents'));
  for (const [module, parents] of await readRedis(Promise.all(read))) {
    for (const parent of (parents ?? '').split(' ').filter((key) => key !== '')) {
      needed.set(parent, [...(needed.get(parent) ?? []), module ?? '']);
    }
  }
  return needed;
}

/** Removed layers of a cluster of which something may be left there. @throws RedisUnavailable */
export async function readRemovedLayers(redis: Redis, cluster: string): Promise<LayerRecord[]> {
  const texts = await readRedis(redis.hvals(KEYS.removed));
  return texts.map(readLayerRecord).filter((record) => record.cluster === cluster);
}

/** All objects of a removed layer are gone. @throws RedisUnavailable */
export async function endRemoval(redis: Redis, { layerBuild, generation }: LayerRecord): Promise<void> {
  await readRedis(redis.hdel(KEYS.removed, `${layerBuild}/${generation}`));
}
