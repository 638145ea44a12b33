import type { Clock } from '../../common/clock/clock.ts';
import { atMost } from '../../common/lifecycle/at-most.ts';
import type { FoundGeneration } from './sweep-verdict.ts';

/** Generations whose objects are removed at once; those that only wait for the cluster count, too. */
const CONCURRENCY = 16;
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 300_000;

/** Removal of a generation: its machines at once, the rest when there is room. Both are idempotent. */
export interface Removal {
  readonly halt: () => Promise<void>;
  readonly remove: () => Promise<void>;
}

interface Setback {
  readonly failures: number;
  readonly pausedUntil: number;
}

/**
 * The removals of a cluster that are under way. All machines are halted first and at once, even if other removals are stuck; a
 * removal that failed is paused, longer each time, so that objects that a cluster does not release do not delay others.
 */
export class Removals {
  readonly #clock: Clock;
  readonly #onFailure: (error: unknown) => void;
  readonly #running = new Map<string, Promise<void>>();
  readonly #setbacks = new Map<string, Setback>();
  readonly #limited = atMost(CONCURRENCY);

  constructor({ clock, onFailure }: { readonly clock: Clock; readonly onFailure: (error: unknown) => void }) {
    this.#clock = clock;
    this.#onFailure = onFailure;
  }

  /** No effect while the same removal is running or paused. */
  begin({ layerBuild, generation }: FoundGeneration, removal: Removal): void {
    const key = `${layerBuild}/${generation}`;
    if (this.#running.has(key) || this.#clock.now() < (this.#setbacks.get(key)?.pausedUntil ?? 0)) return;
    const run = async () => {
      try {
        await removal.halt();
        await this.#limited(removal.remove);
        this.#setbacks.delete(key);
      } catch (error) {
        this.#pause(key);
        this.#onFailure(error);
      } finally {
        this.#running.delete(key);
      }
    };
    this.#running.set(key, run());
  }

  /** End of the next pause, in ms since the Unix epoch; Infinity without a pause. */
  nextAt(): number {
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [key, { pausedUntil }] of this.#setbacks) {
      if (pausedUntil > now) next = Math.min(next, pausedUntil);
      // It went by itself: it was not asked for again.
      else if (pausedUntil + LONGEST_PAUSE_MS < now && !this.#running.has(key)) this.#setbacks.delete(key);
    }
    return next;
  }

  /** Resolves when no removal is running. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  #pause(key: string): void {
    const failures = (this.#setbacks.get(key)?.failures ?? 0) + 1;
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
    this.#setbacks.set(key, { failures, pausedUntil: this.#clock.now() + pauseMs });
  }
}
