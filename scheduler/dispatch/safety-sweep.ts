import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import { jobId, type Phase } from '../../common/contracts/phases.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { forgetBuilds } from '../../common/redis/builds.ts';
import { confirmQueued, endOverdue, inOutbox, placedJobs, redispatch } from '../../common/redis/dispatches.ts';
import { atNotices, type Notices } from '../../common/redis/notices.ts';
import { advance } from '../../common/redis/tasks.ts';
import type { PhaseQueues } from './queues.ts';

const SWEEP_MS = 30_000;

/** Dependencies of the sweep. */
export interface SafetySweepOptions {
  readonly redis: Redis;
  readonly queues: PhaseQueues;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onRepair?: (phase: Phase) => void;
}

/** Sweeps until `signal` is aborted; one process of the farm does. */
export function runSafetySweep(options: SafetySweepOptions, signal: AbortSignal): Promise<void> {
  const { redis, clock, logger } = options;
  const look = async () => {
    await repairLostJobs(options);
    await forgetBuilds(redis);
    return null;
  };
  return lookAgain({ what: 'The safety sweep', look, everyMs: SWEEP_MS, clock, logger }, signal);
}

type LoopOptions = Pick<SafetySweepOptions, 'redis' | 'clock' | 'logger'> & { readonly notices: Notices };

/** Keeps the deadlines of modules until `signal` is aborted, each when it has come; one process of the farm does. */
export function keepDeadlines({ redis, notices, clock, logger }: LoopOptions, signal: AbortSignal): Promise<void> {
  const wake = [atNotices(notices, ({ kind }) => kind === 'deadline')];
  const look = () => endOverdue(redis);
  return lookAgain({ what: 'Keeping deadlines', look, everyMs: SWEEP_MS, wake, clock, logger }, signal);
}

/** Continues unfinished tasks of other processes, until `signal` is aborted; every scheduler does. */
export function carryTasksOn({ redis, notices, clock, logger }: LoopOptions, signal: AbortSignal): Promise<void> {
  const wake = [atNotices(notices, ({ kind }) => kind === 'tasks')];
  const look = () => advance(redis);
  return lookAgain({ what: 'Continuing a long task', look, everyMs: SWEEP_MS, wake, clock, logger }, signal);
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
