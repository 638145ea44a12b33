import type { Logger } from '../../common/logging/logger.ts';
import { ApiError } from './api-error.ts';
import { type KubeObject, keyOf } from './objects.ts';
import type { Store } from './store.ts';

/** Empties terminating namespaces and removes them when they are empty. */
export class NamespaceCollector {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #pending = new Set<string>();
  #isWorking = false;

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Watches all kinds until the signal is aborted. */
  start(signal: AbortSignal): void {
    const kinds = this.#store.kinds.map((kind) => kind.kind);
    this.#store.subscribe(kinds, ({ kind, type, object }) => this.#observe(kind, type, object), signal);
  }

  #observe(kind: string, type: string, object: KubeObject): void {
    const isLeaving = type === 'DELETED' && kind !== 'Namespace';
    const name = kind === 'Namespace' ? object.metadata.name : isLeaving ? object.metadata.namespace : undefined;
    if (name === undefined || !this.#terminating(name)) return;
    this.#pending.add(name);
    if (this.#isWorking) return;
    this.#isWorking = true;
    setImmediate(() => void this.#drain());
  }

  #terminating(name: string): KubeObject | undefined {
    const namespace = this.#store.get('Namespace', { name });
    return namespace?.metadata.deletionTimestamp === undefined ? undefined : namespace;
  }

  async #drain(): Promise<void> {
    for (const name of this.#pending) {
      this.#pending.delete(name);
      try {
        await this.#empty(name);
      } catch (error) {
        this.#logger.error({ err: error, namespace: name }, 'Emptying a namespace failed');
      }
    }
    this.#isWorking = false;
  }

  async #empty(name: string): Promise<void> {
    if (!this.#terminating(name)) return;
    const content = this.#store.kinds
      .filter((kind) => kind.namespaced)
      .flatMap((kind) => this.#store.list(kind.kind, { namespace: name }));
    if (content.length === 0) {
      await this.#store.mutate('Namespace', { name }, (draft) => {
        draft.spec = { ...draft.spec, finalizers: [] };
      });
      return;
    }
    for (const object of content) {
      if (object.metadata.deletionTimestamp === undefined) await this.#deleteIfPresent(object);
    }
  }

  async #deleteIfPresent(object: KubeObject): Promise<void> {
    try {
      await this.#store.delete(object.kind, keyOf(object));
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }
}
