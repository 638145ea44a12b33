import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import type { ClusterRun } from '../../common/config/live-clusters.ts';
import type { Phase } from '../../common/contracts/phases.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { keepAdvertised } from '../../common/redis/presence.ts';
import { type ClusterWorker, startClusterWorker } from './cluster-worker.ts';
import type { PhaseRunner } from './phase-runner.ts';

/** How long a worker that is asked to stop may take to hand its phases back. */
const DRAIN_MS = 20_000;

export interface WorkerProcessOptions {
  readonly phase: Phase;
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

/** Takes the jobs of one phase, and advertises room for them, on the clusters that it is asked to. */
export class PhaseWorkers {
  readonly #options: WorkerProcessOptions;
  readonly #taking = new Set<{ readonly worker: ClusterWorker; leave(): Promise<void> }>();

  /** On release it takes no more, lets executors hand their work back (processes in guests keep running), and exits. */
  constructor(options: WorkerProcessOptions, resources: ReleaseStack) {
    this.#options = options;
    resources.defer('workers', () => this.#release());
  }

  /** Resolves when jobs of the cluster are taken. Jobs that run when that is stopped continue. */
  async take(cluster: string): Promise<ClusterRun> {
    const { phase, concurrency, worker, runner, redis, clock, logger, onTaken } = this.#options;
    const leaving = new AbortController();
    const jobs = await startClusterWorker({
      ...{ phase, cluster, redis: redis.worker, runner, concurrency, logger },
      ...(onTaken ? { onTaken } : {}),
    });
    const presence = { worker, phase, cluster, capacity: concurrency };
    const advertised = keepAdvertised({ redis: redis.producer, clock, logger }, presence, leaving.signal);
    const taking = {
      worker: jobs,
      leave: async () => {
        leaving.abort();
        await advertised;
        await jobs.pause();
      },
    };
    this.#taking.add(taking);
    const stop = async () => {
      await taking.leave();
      // Its jobs may run for hours.
      void jobs.close().then(() => this.#taking.delete(taking));
    };
    return { stop };
  }

  async #release(): Promise<void> {
    const { runner, logger } = this.#options;
    await Promise.all([...this.#taking].map((each) => each.leave()));
    await runner.drain(DRAIN_MS);
    if (runner.active > 0)
      logger.warn({ active: runner.active }, 'Jobs did not end in time; other workers take them over');
    else await Promise.all([...this.#taking].map(({ worker }) => worker.close()));
  }
}
