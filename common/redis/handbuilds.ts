import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** Lets the step of a VM go on that waits for a person; its index, or null when none waits. @throws RedisUnavailable */
export async function continueHandbuild(redis: Redis, layerBuild: string, vm: string): Promise<number | null> {
  const step = z
    .string()
    .nullable()
    .parse(await runScript(redis, 'continue', [layerBuild, vm, randomUUID()]));
  return step === null ? null : Number(step);
}

/** A VM of a layer build on a cluster. */
export interface PlacedVm {
  readonly cluster: string;
  readonly layerBuild: string;
  readonly vm: string;
}

/** Index of the step of a VM that waits for a person, or null. @throws RedisUnavailable */
export async function readHandbuild(redis: Redis, { cluster, layerBuild, vm }: PlacedVm): Promise<number | null> {
  const step = await readRedis(redis.hget(KEYS.handbuilds(cluster), `${layerBuild}/${vm}`));
  return step === null ? null : Number(step);
}

/** How many VMs of a cluster wait for a person. @throws RedisUnavailable */
export async function countHandbuilds(redis: Redis, cluster: string): Promise<number> {
  return readRedis(redis.hlen(KEYS.handbuilds(cluster)));
}

/** The layer builds of some clusters of which a step waits for a person. @throws RedisUnavailable */
export async function readWaitingWorks(redis: Redis, clusters: readonly string[]): Promise<Set<string>> {
  const fields = await readRedis(Promise.all(clusters.map((cluster) => redis.hkeys(KEYS.handbuilds(cluster)))));
  return new Set(fields.flat().map((field) => field.slice(0, field.indexOf('/'))));
}
