import type { Clock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';

/** Looks at one object, named by its key, and converges; may be called any number of times. */
export type Reconcile = (key: string) => Promise<void>;

/** Dependencies of a queue. */
export interface WorkQueueOptions {
  /** The kind that is reconciled; appears in logs. */
  readonly name: string;
  readonly reconcile: Reconcile;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends all work; no work begins afterwards. */
  readonly signal: AbortSignal;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 30_000;

/**
 * Keys that want attention. A key is worked on by one call at a time; asking again meanwhile leads to exactly one more
 * call afterwards. A call that fails is repeated with a growing delay, and at once when the key is added again.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #running = new Map<string, Promise<void>>();
  readonly #again = new Set<string>();
  readonly #failures = new Map<string, number>();

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Asks for a look at the key, now or (for deadlines and back-off) after a delay. */
  add(key: string, delayMs = 0): void {
    const { clock, signal } = this.#options;
    if (signal.aborted) return;
    if (delayMs > 0) {
      clock.after(delayMs, signal).then(
        () => this.add(key),
        () => {},
      );
      return;
    }
    if (this.#running.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#running.set(key, this.#work(key));
  }

  /** Resolves when no work is running. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  async #work(key: string): Promise<void> {
    const { reconcile, signal } = this.#options;
    // The caller is usually a listener of the store in the middle of a write: let it finish first.
    await Promise.resolve();
    do {
      this.#again.delete(key);
      try {
        await reconcile(key);
        this.#failures.delete(key);
      } catch (error) {
        this.#retryLater(key, error);
      }
    } while (this.#again.has(key) && !signal.aborted);
    this.#running.delete(key);
  }

  #retryLater(key: string, error: unknown): void {
    const { logger, name, signal } = this.#options;
    if (signal.aborted) return;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const delayMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 16));
    logger.warn({ err: error, kind: name, key, delayMs }, 'An object could not be reconciled and is tried again');
    this.add(key, delayMs);
  }
}
