import type { Redis } from 'ioredis';
import { readRedis } from './scripts.ts';

/** The section `memory` of Redis's INFO, as far as the farm lives by it. */
export interface RedisMemory {
  readonly usedBytes: number;
  /** `maxmemory`, or without one the memory of its machine. */
  readonly limitBytes: number;
  /** `maxmemory-policy`; anything but `noeviction` may lose the farm's state. */
  readonly policy: string;
}

/** @throws RedisUnavailable */
export async function readMemory(redis: Redis): Promise<RedisMemory> {
  const info = await readRedis(redis.info('memory'));
  const field = (name: string) => new RegExp(`^${name}:(\\S*)`, 'm').exec(info)?.[1] ?? '';
  return {
    usedBytes: Number(field('used_memory')),
    limitBytes: Number(field('maxmemory')) || Number(field('total_system_memory')),
    policy: field('maxmemory_policy'),
  };
}
