import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import { jobId, type Phase } from '../../common/contracts/phases.ts';
import { createAlarm } from '../../common/lifecycle/alarm.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { forgetBuilds } from '../../common/redis/builds.ts';
import { confirmQueued, endOverdue, inOutbox, placedJobs, redispatch } from '../../common/redis/dispatches.ts';
import type { Notice, Notices } from '../../common/redis/notices.ts';
import { advance } from '../../common/redis/tasks.ts';
import type { PhaseQueues } from './queues.ts';

const SWEEP_MS = 30_000;
const TROUBLE_MS = 1_000;

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

type LoopOptions = Pick<SafetySweepOptions, 'redis' | 'clock' | 'logger'> & { readonly notices: Notices };

/** Keeps the deadlines of modules until `signal` is aborted, each when it has come; one process of the farm does. */
export function keepDeadlines(options: LoopOptions, signal: AbortSignal): Promise<void> {
  return keepLooking(options, { kind: 'deadline', look: endOverdue }, signal);
}

/** Carries on what other processes have begun and not ended, until `signal` is aborted; every scheduler does. */
export function carryTasksOn(options: LoopOptions, signal: AbortSignal): Promise<void> {
  return keepLooking(options, { kind: 'tasks', look: advance }, signal);
}

/** Looks at notices of a kind, when the last look said so (ms from then), and slowly anyway. */
async function keepLooking(
  { redis, notices, clock, logger }: LoopOptions,
  { kind, look }: { readonly kind: Notice['kind']; look(redis: Redis): Promise<number | null> },
  signal: AbortSignal,
): Promise<void> {
  const alarm = createAlarm(clock);
  const stop = notices.listen((notice) => {
    if (notice.kind === kind || notice.kind === 'reconnected') alarm.ring();
  });
  try {
    while (!signal.aborted) {
      let nextMs = SWEEP_MS;
      alarm.reset();
      try {
        nextMs = Math.min(nextMs, (await look(redis)) ?? SWEEP_MS);
      } catch (error) {
        logger.warn({ err: error, kind }, 'A look at the state of the farm failed; retrying');
        nextMs = TROUBLE_MS;
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
