import { UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { jobReferenceSchema, type Phase, queueName, REDIS_PREFIX } from '../../common/contracts/phases.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { PhaseRunner } from './phase-runner.ts';

/**
 * A job of a killed worker is given to another one when its lock has expired and another worker has looked for stalled jobs: after 3 to 5 s. A worker that could not
 * renew for 2.8 s, because it or Redis was held up, loses its jobs as well.
 */
const LOCK_MS = 3_500;
const RENEW_MS = 700;
const STALLED_CHECK_MS = 700;
/** A job that was taken over this often still runs: the farm counts retries itself. */
const MOST_STALLS = 1_000;
/** Seconds. A frozen worker can swallow the wake-up of a new job; the others look again after this. */
const LOOK_AGAIN_S = 1;

export interface ClusterWorkerOptions {
  readonly phase: Phase;
  readonly cluster: string;
  /** Role `worker`. */
  readonly redis: Redis;
  readonly runner: PhaseRunner;
  /** Jobs of this queue that are worked on at once. */
  readonly concurrency: number;
  readonly logger: Logger;
  /** Hears how long a job was on the queue, ms; not of one that another worker had taken before. */
  readonly onTaken?: (waitedMs: number) => void;
}

/** Takes the jobs of one phase on one cluster from their queue. */
export interface ClusterWorker {
  /** Takes no more jobs; running ones continue. */
  pause(): Promise<void>;
  /** Waits until running jobs have ended, then closes. */
  close(): Promise<void>;
}

/** Resolves when the worker takes jobs. */
export async function startClusterWorker(options: ClusterWorkerOptions): Promise<ClusterWorker> {
  const { phase, cluster, redis, runner, concurrency, logger, onTaken } = options;
  const worker = new Worker(
    queueName(phase, cluster),
    async (job, _token, signal) => {
      const reference = jobReferenceSchema.safeParse(job.data);
      if (!reference.success) throw new UnrecoverableError(`The job is not a phase job: ${reference.error.message}`);
      const { processedOn, timestamp } = job;
      if (processedOn !== undefined && job.attemptsStarted === 1) onTaken?.(Math.max(0, processedOn - timestamp));
      await runner.deliver(reference.data, signal ?? new AbortController().signal);
    },
    {
      connection: redis,
      prefix: REDIS_PREFIX,
      concurrency,
      autorun: false,
      drainDelay: LOOK_AGAIN_S,
      lockDuration: LOCK_MS,
      lockRenewTime: RENEW_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: MOST_STALLS,
    },
  );
  // Losing a lock does not abort a job by itself, and two runs of one job would confuse each other's locks.
  worker.on('lockRenewalFailed', (ids) => {
    for (const id of ids) worker.cancelJob(id, 'The lock of the job was lost.');
  });
  worker.on('error', (error) => logger.warn({ err: error, cluster }, 'The queue reported an error'));
  worker.on('failed', (job, error) => logger.info({ err: error, job: job?.id }, 'A job failed in its queue'));
  await worker.waitUntilReady();
  worker.run().catch((error: unknown) => logger.error({ err: error, cluster }, 'The worker has stopped taking jobs'));
  return { pause: () => worker.pause(true), close: () => worker.close() };
}
