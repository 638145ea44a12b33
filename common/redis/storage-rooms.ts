import type { Redis } from 'ioredis';
import { type StorageRoom, storageRoomSchema } from '../contracts/storage.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Replaces what is known of the storage of a cluster; null: it does not say. @throws RedisUnavailable */
export async function reportRoom(redis: Redis, cluster: string, room: StorageRoom | null): Promise<void> {
  if (room === null) await readRedis(redis.hdel(KEYS.rooms, cluster));
  else await readRedis(redis.hset(KEYS.rooms, cluster, JSON.stringify(room)));
}

/** What a cluster had for new volumes at the last look; null when it does not say. @throws RedisUnavailable */
export async function readRoom(redis: Redis, cluster: string): Promise<StorageRoom | null> {
  const text = await readRedis(redis.hget(KEYS.rooms, cluster));
  return text === null ? null : storageRoomSchema.parse(JSON.parse(text));
}
