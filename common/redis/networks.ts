import type { Redis } from 'ioredis';
import { z } from 'zod';
import { NETWORK_KINDS, type NetworkKind } from '../contracts/network-kinds.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Keeps how a cluster was found to connect machines. @throws RedisUnavailable */
export async function reportNetwork(redis: Redis, cluster: string, network: NetworkKind): Promise<void> {
  await readRedis(redis.hset(KEYS.networks, cluster, network));
}

/** How a cluster connects machines, by the last look; null before the first look. @throws RedisUnavailable */
export async function readNetwork(redis: Redis, cluster: string): Promise<NetworkKind | null> {
  return z
    .enum(NETWORK_KINDS)
    .nullable()
    .parse(await readRedis(redis.hget(KEYS.networks, cluster)));
}
