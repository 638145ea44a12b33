import type { Clock } from '../clock/clock.ts';

/** Wakes a loop that works whenever there may be something to do. */
export interface Alarm {
  /** Signals possible work. A ring without a waiter is remembered; several count as one. */
  ring(): void;
  /** Forgets rings. Call before reading the state that they announce. */
  reset(): void;
  /** Resolves at a ring, or after `ms`, or when `signal` is aborted. */
  within(ms: number, signal: AbortSignal): Promise<void>;
}

export function createAlarm(clock: Clock): Alarm {
  let rung = false;
  let wakeUp: (() => void) | undefined;
  return {
    ring: () => {
      rung = true;
      wakeUp?.();
    },
    reset: () => {
      rung = false;
    },
    within: async (ms, signal) => {
      if (rung || signal.aborted) return;
      const waiting = new AbortController();
      const stop = () => waiting.abort();
      wakeUp = stop;
      signal.addEventListener('abort', stop, { once: true });
      await clock.after(ms, waiting.signal).catch(() => undefined);
      signal.removeEventListener('abort', stop);
      wakeUp = undefined;
    },
  };
}
