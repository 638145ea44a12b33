import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Kept, KeptAnswer } from '../contracts/events.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/**
 * A step that waits is kept under a number, its place: the index of the step, plus `KEPT` when its try has failed or `BEFORE` when a
 * person is asked for before it runs, plus `TRIED_AGAIN` for each earlier try.
 */
const KEPT = 10_000;
const BEFORE = 20_000;
/** A machine of a clone, which no step waits for (see finish.lua). */
const RUNS = '30000';
const TRIED_AGAIN = 1_000_000;

/** The number of an attempt of a step. */
export function attemptPlace(step: number, attempt: number): number {
  return step + TRIED_AGAIN * attempt;
}

/** The number of the record that an attempt of a step failed, or is to begin, and waits for a person. */
export function keptPlace(step: number, { attempt, why }: Pick<Kept, 'attempt' | 'why'>): number {
  return attemptPlace(step, attempt) + (why === 'before' ? BEFORE : KEPT);
}

/** Meaning of a mark; null: a `handbuild` step. */
export function keptAt(place: number): Pick<Kept, 'attempt' | 'why'> | null {
  if (place < KEPT) return null;
  return { attempt: Math.floor(place / TRIED_AGAIN), why: place % TRIED_AGAIN < BEFORE ? 'failed' : 'before' };
}

/** The step of a place. */
export function stepOf(place: number): number {
  return place % KEPT;
}

/**
 * Lets the step of a VM continue that waits for a person; its index, or null when none waits, or none that takes such an
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

/** How many VMs of a cluster wait for a person, and how many are clones' that are up. @throws RedisUnavailable */
export async function countHandbuilds(
  redis: Redis,
  cluster: string,
): Promise<{ readonly waiting: number; readonly running: number }> {
  const places = await readRedis(redis.hvals(KEYS.handbuilds(cluster)));
  const running = places.filter((place) => place === RUNS).length;
  return { waiting: places.length - running, running };
}

/** The layer builds of some clusters of which a step waits for a person. @throws RedisUnavailable */
export async function readWaitingLayerBuilds(redis: Redis, clusters: readonly string[]): Promise<Set<string>> {
  const fields = await readRedis(Promise.all(clusters.map((cluster) => redis.hkeys(KEYS.handbuilds(cluster)))));
  return new Set(fields.flat().map((field) => field.slice(0, field.indexOf('/'))));
}
