import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type Finding, findingSchema } from '../contracts/findings.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Replaces the findings about a cluster. @throws RedisUnavailable */
export async function reportFindings(redis: Redis, cluster: string, findings: readonly Finding[]): Promise<void> {
  await readRedis(redis.hset(KEYS.findings, cluster, JSON.stringify(findings)));
}

/** The findings of the last preflight of a cluster; also empty before the first one. @throws RedisUnavailable */
export async function readFindings(redis: Redis, cluster: string): Promise<Finding[]> {
  const text = await readRedis(redis.hget(KEYS.findings, cluster));
  return text === null ? [] : z.array(findingSchema).parse(JSON.parse(text));
}
