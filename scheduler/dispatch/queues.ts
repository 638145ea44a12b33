import { type JobsOptions, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { jobId, PHASES, type Phase, queueName, REDIS_PREFIX } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { Dispatch } from '../../common/redis/dispatches.ts';
import { readRedis } from '../../common/redis/scripts.ts';

/** BullMQ's largest (that is: least urgent) priority is 2 097 152. */
const LEAST_URGENT = 2_000_000;
/** BullMQ never removes events and ended jobs by default. */
const KEPT_EVENTS = 1_000;
const KEPT_JOBS = 200;
/** Jobs that are read to find the oldest; a queue has only jobs that its cluster has room for, so rarely more. */
const LOOKED_AT = 500;

/** States of a job that is running or will run. */
const ALIVE = new Set(['waiting', 'prioritized', 'active', 'delayed', 'waiting-children']);

/** Reference of a job, and its queue. */
type JobPlace = Pick<Dispatch, 'reference' | 'cluster'>;

/** The queues of every phase on the open clusters. */
export class PhaseQueues {
  readonly #options: { readonly redis: Redis; readonly logger: Logger };
  readonly #queues = new Map<string, Queue>();

  /** `redis` has the role `producer` and is not closed by `close`. */
  constructor(options: { readonly redis: Redis; readonly logger: Logger }, clusters: readonly string[] = []) {
    this.#options = options;
    for (const cluster of clusters) this.open(cluster);
  }

  open(cluster: string): void {
    const { redis, logger } = this.#options;
    for (const phase of PHASES) {
      const name = queueName(phase, cluster);
      const options = { connection: redis, prefix: REDIS_PREFIX, streams: { events: { maxLen: KEPT_EVENTS } } };
      const queue = new Queue(name, options);
      // Without a listener BullMQ prints to the console.
      queue.on('error', (error) => logger.debug({ err: error, queue: name }, 'A queue reported an error'));
      this.#queues.set(name, queue);
    }
  }

  /** Closes the queues of a cluster, by default all of them. Their jobs stay. */
  async close(cluster?: string): Promise<void> {
    const names = cluster === undefined ? [...this.#queues.keys()] : PHASES.map((phase) => queueName(phase, cluster));
    const closing = names.map((name) => this.#queues.get(name)?.close());
    for (const name of names) this.#queues.delete(name);
    await Promise.all(closing);
  }

  get all(): readonly Queue[] {
    return [...this.#queues.values()];
  }

  /** Puts jobs on their queues. An id that a queue knows is not added again. @throws RedisUnavailable */
  async add(jobs: readonly Dispatch[]): Promise<void> {
    const byQueue = new Map<string, Dispatch[]>();
    for (const job of jobs) {
      const name = queueName(job.reference.phase, job.cluster);
      byQueue.set(name, [...(byQueue.get(name) ?? []), job]);
    }
    const adding = [...byQueue].map(([name, dispatches]) =>
      this.#queue(name).addBulk(
        dispatches.map(({ reference, priority }) => ({
          name: reference.phase,
          data: reference,
          opts: jobOptions(jobId(reference), priority),
        })),
      ),
    );
    await readRedis(Promise.all(adding));
  }

  /** False when the queue has lost the job, or has ended it. @throws RedisUnavailable */
  async isAlive(job: JobPlace): Promise<boolean> {
    const state = await this.#stateOf(job);
    // A cluster that this scheduler does not have: another one looks after it.
    return state === null || ALIVE.has(state);
  }

  /** Whether the queue still remembers the job. @throws RedisUnavailable */
  async remembers(job: JobPlace): Promise<boolean> {
    const state = await this.#stateOf(job);
    return state !== null && state !== 'unknown';
  }

  /** Null without a queue for its cluster. */
  async #stateOf({ reference, cluster }: JobPlace): Promise<string | null> {
    const queue = this.#queues.get(queueName(reference.phase, cluster));
    if (!queue) return null;
    return readRedis(queue.getJobState(jobId(reference)));
  }

  /** Jobs that wait and that run. @throws RedisUnavailable */
  async depth(phase: Phase, cluster: string): Promise<{ readonly waiting: number; readonly active: number }> {
    const queue = this.#queue(queueName(phase, cluster));
    const counts = await readRedis(queue.getJobCounts('waiting', 'prioritized', 'active'));
    return {
      waiting: (counts['waiting'] ?? 0) + (counts['prioritized'] ?? 0),
      active: counts['active'] ?? 0,
    };
  }

  /** When the oldest job that waits was put on its queue, ms since the Unix epoch. @throws RedisUnavailable */
  async oldest(phase: Phase, cluster: string): Promise<number | undefined> {
    const queue = this.#queue(queueName(phase, cluster));
    const jobs = await readRedis(queue.getJobs(['waiting', 'prioritized'], 0, LOOKED_AT));
    // A job may be taken between being listed and being read.
    const times = jobs.flatMap((job) => (job ? [job.timestamp] : []));
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #queue(name: string): Queue {
    const queue = this.#queues.get(name);
    if (!queue) throw new FarmError('BrokenInvariant', `Queue "${name}" not found: its cluster is not configured.`);
    return queue;
  }
}

/** The farm counts tries itself, by its failure table: to BullMQ every dispatch is the only one. */
function jobOptions(id: string, criticalPathSeconds: number): JobsOptions {
  return {
    jobId: id,
    attempts: 1,
    priority: Math.max(1, LEAST_URGENT - Math.round(criticalPathSeconds)),
    removeOnComplete: { count: KEPT_JOBS },
    removeOnFail: { count: KEPT_JOBS },
  };
}
