import { isDeepStrictEqual } from 'node:util';
import { FarmError } from '../errors/farm-error.ts';
import type { ClusterConfig } from './schema.ts';

/** What a process does for one of its clusters. */
export interface ClusterRun {
  /** Begins no more work on the cluster. Resolves when another run may begin for it. */
  stop(): Promise<void>;
}

interface Running {
  readonly config: ClusterConfig;
  readonly run: ClusterRun;
}

/** One run for each cluster of the configuration, also when that changes. */
export class LiveClusters {
  readonly #start: (config: ClusterConfig) => Promise<ClusterRun>;
  readonly #running = new Map<string, Running>();

  constructor(start: (config: ClusterConfig) => Promise<ClusterRun>) {
    this.#start = start;
  }

  /**
   * Starts the runs of clusters that are new, ends those of clusters that are gone, and does both where the configuration of a cluster has
   * changed. Calls do not overlap. @throws InvalidConfig when there is no cluster
   */
  async follow(configs: readonly ClusterConfig[]): Promise<void> {
    if (configs.length === 0)
      throw new FarmError('InvalidConfig', 'The option clusters is an empty list: name at least one cluster.');
    const desired = new Map(configs.map((config) => [config.name, config]));
    await this.#end(([name, { config }]) => !isDeepStrictEqual(desired.get(name), config));
    const missing = configs.filter(({ name }) => !this.#running.has(name));
    // One that cannot be used does not keep others from being used.
    const started = await Promise.allSettled(
      missing.map(async (config) => this.#running.set(config.name, { config, run: await this.#start(config) })),
    );
    for (const result of started) if (result.status === 'rejected') throw result.reason;
  }

  stop(): Promise<void> {
    return this.#end(() => true);
  }

  async #end(isOver: (entry: readonly [string, Running]) => boolean): Promise<void> {
    const ended = [...this.#running].filter(isOver).map(async ([name, { run }]) => {
      await run.stop();
      this.#running.delete(name);
    });
    await Promise.all(ended);
  }
}
