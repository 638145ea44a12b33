import type { Redis } from 'ioredis';

/** Everything that a Redis holds, as one text: each key with its value. */
export async function dumpRedis(redis: Redis): Promise<string> {
  const keys = await redis.keys('*');
  return (await Promise.all(keys.map(async (key) => `${key} ${JSON.stringify(await read(redis, key))}`))).join('\n');
}

async function read(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  switch (type) {
    case 'string':
      return redis.get(key);
    case 'hash':
      return redis.hgetall(key);
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'set':
      return redis.smembers(key);
    case 'zset':
      return redis.zrange(key, 0, '-1', 'WITHSCORES');
    case 'stream':
      return redis.xrange(key, '-', '+');
    case 'none':
      // It went while we looked.
      return null;
    default:
      throw new Error(`The key ${key} is of the type ${type}, which this does not read.`);
  }
}
