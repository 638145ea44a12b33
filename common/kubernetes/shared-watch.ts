import type { ClusterClient } from './cluster-client.ts';
import type { KubernetesObject } from './objects.ts';
import type { Resource } from './resources.ts';
import { type WatchEvent, type WatchOptions, watchObjects } from './watch-objects.ts';

/** One watch of a kind, whose events several parts of a process receive. */
export class SharedWatch<T extends KubernetesObject> {
  readonly #listeners = new Set<(event: WatchEvent<T>) => void>();

  /** Passes on every event until `signal` is aborted. To be called before `run`: later callers do not get another `synced`. */
  listen(listener: (event: WatchEvent<T>) => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true });
  }

  /** Watches until `options.signal` is aborted, as `watchObjects` does. */
  async run(cluster: ClusterClient, resource: Resource<T>, options: WatchOptions): Promise<void> {
    for await (const event of watchObjects(cluster, resource, options)) {
      for (const listener of this.#listeners) listener(event);
    }
  }
}
