import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Limits } from '../contracts/builds.ts';
import { EQUAL_OWNERS, EVERYBODY, type Owners, type OwnerTerms, termsOf } from '../contracts/owners.ts';
import { GANG_STAGES, type JobReference, jobId, jobReferenceSchema } from '../contracts/phases.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** A gang that has waited this long is not passed by smaller ones any more. */
const PATIENCE_MS = 10 * 60_000;
/** An admitted job that is on no queue after this time was taken by a scheduler that died. */
const FORGOTTEN_MS = 5_000;
const BATCH = 200;

const dispatchSchema = z.object({ reference: jobReferenceSchema, cluster: z.string(), priority: z.number() });

/** A job to put on the queue of its phase and cluster. */
export type Dispatch = z.infer<typeof dispatchSchema>;

/** Result of one look at a cluster's ready set. */
export interface Taken {
  readonly jobs: readonly Dispatch[];
  /** True when there may be more at once. */
  readonly more: boolean;
  /** Time of the next look without a notice; null: none. */
  readonly againInMs: number | null;
}

/** Knobs that tests turn; the defaults are the farm's. */
export interface TakeOptions {
  readonly patienceMs?: number;
  readonly forgottenMs?: number;
}

/** Target of an admission, and its owners. */
export interface TakenFrom {
  readonly cluster: string;
  readonly limits: Limits;
  /** @defaultValue all are equal */
  readonly owners?: Owners;
}

/** Admits ready phases on a cluster. Every job is returned to one caller only. @throws RedisUnavailable */
export async function takeReady(
  redis: Redis,
  { cluster, limits, owners = EQUAL_OWNERS }: TakenFrom,
  { patienceMs = PATIENCE_MS, forgottenMs = FORGOTTEN_MS }: TakeOptions = {},
): Promise<Taken> {
  const reply = await runScript(redis, 'take', [
    cluster,
    limits.imports,
    limits.vms,
    Math.floor(limits.cpu * 1000),
    limits.memoryBytes,
    BATCH,
    patienceMs,
    forgottenMs,
    JSON.stringify(GANG_STAGES),
    JSON.stringify(writeTerms(owners)),
  ]);
  const [delay, ...jobs] = z.tuple([z.number()], z.string()).parse(reply);
  return {
    jobs: jobs.map(readDispatch),
    more: jobs.length >= BATCH,
    againInMs: delay < 0 ? null : delay,
  };
}

/** Records that these jobs are on their queues. @throws RedisUnavailable */
export async function confirmQueued(redis: Redis, jobs: readonly Dispatch[]): Promise<void> {
  if (jobs.length === 0) return;
  await readRedis(redis.zrem(KEYS.outbox, ...jobs.map((job) => jobId(job.reference))));
}

/** Whether a dispatched job has not been put on its queue yet. @throws RedisUnavailable */
export async function inOutbox(redis: Redis, job: Dispatch): Promise<boolean> {
  return (await readRedis(redis.zscore(KEYS.outbox, jobId(job.reference)))) !== null;
}

/** Everything that was dispatched and has not ended, in portions; for the safety sweep. @throws RedisUnavailable */
export async function* placedJobs(redis: Redis): AsyncGenerator<Dispatch> {
  let cursor = '0';
  do {
    const [next, entries] = await readRedis(redis.hscan(KEYS.placed, cursor, 'COUNT', 100));
    cursor = next;
    for (let index = 1; index < entries.length; index += 2) yield readDispatch(entries[index] ?? '');
  } while (cursor !== '0');
}

/** A job that BullMQ has lost gets another dispatch; null when it is not current any more. @throws RedisUnavailable */
export async function redispatch(redis: Redis, job: JobReference): Promise<Dispatch | null> {
  const reply = await runScript(redis, 'redispatch', [job.layerBuild, job.generation, job.vm, job.phase, job.dispatch]);
  return reply === null ? null : readDispatch(z.string().parse(reply));
}

/**
 * Fails modules that have worked for longer than their `timeout`, and ends those whose executors were asked to stop and
 * have not let go for a minute. Returns ms until the next deadline, or null. @throws RedisUnavailable
 */
export async function endOverdue(redis: Redis): Promise<number | null> {
  const reply = z.number().parse(await runScript(redis, 'expire', []));
  return reply < 0 ? null : reply;
}

function writeTerms(owners: Owners): Record<string, unknown> {
  const write = ({ weight, vms, cpu, memoryBytes }: OwnerTerms) => {
    return { weight, vms, cpu: cpu === undefined ? cpu : Math.floor(cpu * 1000), memory: memoryBytes };
  };
  const rows = [...owners].map(([name, terms]) => [name, write(terms)] as const);
  return { ...Object.fromEntries(rows), [EVERYBODY]: write(termsOf(owners, EVERYBODY)) };
}

function readDispatch(text: string): Dispatch {
  return dispatchSchema.parse(JSON.parse(text));
}
