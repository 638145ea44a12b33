import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import type { Limits } from '../../common/contracts/builds.ts';
import type { Owners } from '../../common/contracts/owners.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { confirmQueued, type Dispatch, takeReady } from '../../common/redis/dispatches.ts';
import { atNotices, type Notices } from '../../common/redis/notices.ts';
import type { PhaseQueues } from './queues.ts';

/** A notice may be lost: look again after this time even without one. */
const LOOK_AGAIN_MS = 30_000;

/** Where dispatchers put jobs. */
export interface DispatchTarget {
  readonly queues: Pick<PhaseQueues, 'add'>;
}

/** Dependencies of dispatchers. */
export interface DispatcherOptions {
  readonly redis: Redis;
  readonly notices: Notices;
  readonly queues: PhaseQueues;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owners: Owners;
}

/**
 * Moves ready phases of a cluster to its queues until `signal` is aborted: at every notice, when a delayed phase is
 * due, and slowly anyway. Any number of replicas may do so at once, because a job is given to one of them only. One that
 * dies between taking and adding leaves the job in the outbox, from where the next look of any scheduler takes it.
 */
export async function runDispatcher(
  options: DispatcherOptions,
  cluster: { readonly name: string; readonly limits: Limits },
  signal: AbortSignal,
): Promise<void> {
  const { notices, clock, logger } = options;
  const look = createDispatch(options, cluster);
  const wake = [atNotices(notices, (notice) => notice.kind === 'wake' && notice.cluster === cluster.name)];
  const loop = { what: 'Dispatch', fields: { cluster: cluster.name }, look, everyMs: LOOK_AGAIN_MS, wake };
  await lookAgain({ ...loop, clock, logger }, signal);
}

/** One look of a dispatcher at its cluster. Returns ms until the next one is due; null: not by itself. */
export function createDispatch(
  { redis, queues, logger, owners }: Pick<DispatcherOptions, 'redis' | 'logger' | 'owners'> & DispatchTarget,
  cluster: { readonly name: string; readonly limits: Limits },
): () => Promise<number | null> {
  // Redis may go away between taking and adding. It hands them out again only when they count as forgotten.
  let toAdd: readonly Dispatch[] = [];
  return async () => {
    const taken = await takeReady(redis, { cluster: cluster.name, limits: cluster.limits, owners });
    toAdd = [...toAdd, ...taken.jobs];
    await queues.add(toAdd);
    await confirmQueued(redis, toAdd);
    toAdd = [];
    if (taken.jobs.length > 0) logger.debug({ cluster: cluster.name, jobs: taken.jobs.length }, 'Jobs dispatched');
    return taken.more ? 0 : taken.againInMs;
  };
}
