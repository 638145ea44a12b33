import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { KeptAnswer } from '../contracts/events.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/**
 * Steps are kept under numbers: their own, and far above them one for each time that one was tried again, or failed and was
 * kept for a person.
 */
const KEPT = 10_000;
const TRIED_AGAIN = 1_000_000;

/** Under which number a try of a step stands. */
export function attemptPlace(step: number, attempt: number): number {
  return step + TRIED_AGAIN * attempt;
}

/** Under which number it stands that a try of a step failed, and waits for a person. */
export function keptPlace(step: number, attempt: number): number {
  return attemptPlace(step, attempt) + KEPT;
}

export function isKept(place: number): boolean {
  return place >= KEPT;
}

/** How often the step of a place was tried again before. */
export function attemptOf(place: number): number {
  return Math.floor(place / TRIED_AGAIN);
}

/** The step of a place. */
export function stepOf(place: number): number {
  return place % KEPT;
}

/**
 * Lets the step of a VM go on that waits for a person; its index, or null when none waits, or none that takes such an
 * answer. Failed steps are tried again without one. @throws RedisUnavailable
 */
export async function continueHandbuild(
  redis: Redis,
  layerBuild: string,
  { vm, answer }: { readonly vm: string; readonly answer?: KeptAnswer | undefined },
): Promise<number | null> {
  const step = z
    .string()
    .nullable()
    .parse(await runScript(redis, 'continue', [layerBuild, vm, randomUUID(), answer ?? '']));
  return step === null ? null : stepOf(Number(step));
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
  return step === null ? null : stepOf(Number(step));
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
