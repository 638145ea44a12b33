import type { Redis } from 'ioredis';
import { type StorageRoom, storageRoomSchema } from '../contracts/storage.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Replaces the record of the storage of a cluster; null: not reported. @throws RedisUnavailable */
export async function reportRoom(redis: Redis, cluster: string, room: StorageRoom | null): Promise<void> {
  if (room === null) await readRedis(redis.hdel(KEYS.rooms, cluster));
  else await readRedis(redis.hset(KEYS.rooms, cluster, JSON.stringify(room)));
}

/** Free storage of a cluster for new volumes at the last check; null when not reported. @throws RedisUnavailable */
export async function readRoom(redis: Redis, cluster: string): Promise<StorageRoom | null> {
  const text = await readRedis(redis.hget(KEYS.rooms, cluster));
  return text === null ? null : storageRoomSchema.parse(JSON.parse(text));
}
