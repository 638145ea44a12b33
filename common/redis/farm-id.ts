import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Config } from '../config/schema.ts';
import { FarmError } from '../errors/farm-error.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/**
 * The label value that distinguishes this farm's objects on a cluster from those of all others. It is made once, of the farm's name
 * and 40 random bits, and kept in Redis, so that two farms of one name never touch each other's objects. A farm that built
 * before there were such ids keeps its name: its objects carry it.
 * @throws FarmError `InvalidConfig` when `farm.id` is set and Redis holds the state of another farm; `RedisUnavailable`
 */
export async function readFarmId(redis: Redis, { name, id }: Config['farm']): Promise<string> {
  const isOld = (await readRedis(redis.exists(KEYS.builds))) === 1;
  const fresh = isOld ? name : `${name}-${randomBytes(5).toString('hex')}`;
  await readRedis(redis.setnx(KEYS.farmId, id ?? fresh));
  const kept = (await readRedis(redis.get(KEYS.farmId))) ?? fresh;
  if (id === undefined || id === kept) return kept;
  const solve = `Point redis.url to the Redis of "${id}", or set farm.id to "${kept}".`;
  throw new FarmError('InvalidConfig', `farm.id is "${id}", but Redis holds the state of the farm "${kept}".`, {
    details: { solve },
  });
}
