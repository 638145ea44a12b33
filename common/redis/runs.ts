import type { Redis } from 'ioredis';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Ids of the builds that are clones and have not ended. @throws RedisUnavailable */
export async function readRuns(redis: Redis): Promise<string[]> {
  return readRedis(redis.smembers(KEYS.runs));
}
