import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import { jobId, type Phase } from '../../common/contracts/phases.ts';
import { createAlarm } from '../../common/lifecycle/alarm.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { forgetBuilds } from '../../common/redis/builds.ts';
import { confirmQueued, endOverdue, inOutbox, placedJobs, redispatch } from '../../common/redis/dispatches.ts';
import type { Notices } from '../../common/redis/notices.ts';
import type { PhaseQueues } from './queues.ts';

const SWEEP_MS = 30_000;

/** What the sweep works with. */
export interface SafetySweepOptions {
  readonly redis: Redis;
  readonly queues: PhaseQueues;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onRepair?: (phase: Phase) => void;
}

/** Sweeps until `signal` is aborted; one process of the farm does. */
export async function runSafetySweep(options: SafetySweepOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await repairLostJobs(options);
      await forgetBuilds(options.redis);
    } catch (error) {
      options.logger.warn({ err: error }, 'The safety sweep failed; retrying');
    }
    await options.clock.after(SWEEP_MS, signal).catch(() => undefined);
  }
}

/** Keeps the deadlines of modules until `signal` is aborted, each when it has come; one process of the farm does. */
export async function keepDeadlines(
  { redis, notices, clock, logger }: Pick<SafetySweepOptions, 'redis' | 'clock' | 'logger'> & { notices: Notices },
  signal: AbortSignal,
): Promise<void> {
  const alarm = createAlarm(clock);
  const stop = notices.listen(({ kind }) => {
    if (kind === 'deadline' || kind === 'reconnected') alarm.ring();
  });
  try {
    while (!signal.aborted) {
      let nextMs = SWEEP_MS;
      alarm.reset();
      try {
        nextMs = Math.min(nextMs, (await endOverdue(redis)) ?? SWEEP_MS);
      } catch (error) {
        logger.warn({ err: error }, 'Checking the deadlines of modules failed; retrying');
      }
      await alarm.within(nextMs, signal);
    }
  } finally {
    stop();
  }
}

/**
 * Dispatches jobs again that were dispatched, have not been committed, and are on no queue: BullMQ failed them (too many
 * stalls), Redis lost the last second, or a worker completed a job without a commit. Returns how many.
 */
export async function repairLostJobs({ redis, queues, logger, onRepair }: SafetySweepOptions): Promise<number> {
  let repaired = 0;
  for await (const job of placedJobs(redis)) {
    if (await queues.isAlive(job)) continue;
    // Another scheduler has taken it and adds it right now, or a dispatcher finds it there.
    if (await inOutbox(redis, job)) continue;
    const again = await redispatch(redis, job.reference);
    if (!again) continue;
    await queues.add([again]);
    await confirmQueued(redis, [again]);
    logger.warn({ lost: jobId(job.reference), job: jobId(again.reference) }, 'A lost job was dispatched again');
    onRepair?.(job.reference.phase);
    repaired += 1;
  }
  return repaired;
}
