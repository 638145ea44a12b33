import type { Redis } from 'ioredis';
import type { Clock } from '../clock/clock.ts';
import { type Phase, phaseSchema } from '../contracts/phases.ts';
import type { Logger } from '../logging/logger.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

const EXPIRES_MS = 15_000;
const RENEW_MS = 5_000;

/** A worker as it advertises itself for one cluster. */
export interface WorkerPresence {
  readonly worker: string;
  readonly phase: Phase;
  readonly cluster: string;
  /** Phase jobs that it runs at once. */
  readonly capacity: number;
}

/** Advertises a worker once; it counts for 15 s. Capacity 0 takes it off. @throws RedisUnavailable */
export async function advertise(redis: Redis, { worker, phase, cluster, capacity }: WorkerPresence): Promise<void> {
  await runScript(redis, 'advertise', [cluster, phase, worker, capacity, EXPIRES_MS]);
}

/**
 * Advertises a worker until `signal` is aborted, then takes it off. Redis being away is survived: the worker is missing
 * from the list meanwhile, and comes back.
 */
export async function keepAdvertised(
  { redis, clock, logger }: { readonly redis: Redis; readonly clock: Clock; readonly logger: Logger },
  presence: WorkerPresence,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await advertise(redis, presence).catch((error: unknown) => {
      logger.warn({ err: error }, 'The worker could not advertise itself');
    });
    await clock.after(RENEW_MS, signal).catch(() => undefined);
  }
  await advertise(redis, { ...presence, capacity: 0 }).catch((error: unknown) => {
    logger.debug({ err: error }, 'Removing the worker from the list failed; its entry expires');
  });
}

/** The workers of a cluster that are there. @throws RedisUnavailable */
export async function readWorkers(redis: Redis, cluster: string): Promise<WorkerPresence[]> {
  const [workers, [seconds]] = await readRedis(Promise.all([redis.hgetall(KEYS.workers(cluster)), redis.time()]));
  return Object.entries(workers).flatMap(([field, value]) => {
    const slash = field.indexOf('/');
    const [capacity, expires] = value.split(' ').map(Number);
    if ((expires ?? 0) < Number(seconds) * 1000) return [];
    const phase = phaseSchema.parse(field.slice(0, slash));
    return [{ worker: field.slice(slash + 1), phase, cluster, capacity: capacity ?? 0 }];
  });
}
