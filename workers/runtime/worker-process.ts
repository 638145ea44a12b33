import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import type { Phase } from '../../common/contracts/phases.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { keepAdvertised } from '../../common/redis/presence.ts';
import { startClusterWorker } from './cluster-worker.ts';
import type { PhaseRunner } from './phase-runner.ts';

/** How long a worker that is asked to stop may take to hand its phases back. */
const DRAIN_MS = 20_000;

export interface WorkerProcessOptions {
  readonly phase: Phase;
  /** Names of the clusters whose jobs it takes. */
  readonly clusters: readonly string[];
  /** Jobs that it works on at once, on each cluster. */
  readonly concurrency: number;
  /** Name of this worker in the farm's state. */
  readonly worker: string;
  readonly runner: PhaseRunner;
  readonly redis: { readonly producer: Redis; readonly worker: Redis };
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hears how long a job was on its queue, ms. */
  readonly onTaken?: (waitedMs: number) => void;
}

/**
 * Takes the jobs of one phase on all clusters and advertises room for them. On release it takes no more, lets executors
 * hand their work back (processes in guests keep running), and exits.
 */
export async function startWorkers(options: WorkerProcessOptions, resources: ReleaseStack): Promise<void> {
  const { phase, clusters, concurrency, worker, runner, redis, clock, logger, onTaken } = options;
  const leaving = new AbortController();
  const workers = await Promise.all(
    clusters.map((cluster) =>
      startClusterWorker({
        ...{ phase, cluster, redis: redis.worker, runner, concurrency, logger },
        ...(onTaken ? { onTaken } : {}),
      }),
    ),
  );
  const presences = clusters.map((cluster) =>
    keepAdvertised(
      { redis: redis.producer, clock, logger },
      { worker, phase, cluster, capacity: concurrency },
      leaving.signal,
    ),
  );
  resources.defer('workers', async () => {
    leaving.abort();
    await Promise.all(presences);
    await Promise.all(workers.map((each) => each.pause()));
    await runner.drain(DRAIN_MS);
    if (runner.active > 0)
      logger.warn({ active: runner.active }, 'Work could not be handed back; it will be taken over');
    else await Promise.all(workers.map((each) => each.close()));
  });
}
