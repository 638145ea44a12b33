import { setTimeout as delay } from 'node:timers/promises';

/** For waits that only their signal ends: the longest that a timer of Node.js can wait, 24.8 days. */
export const NO_DEADLINE_MS = 2 ** 31 - 1;

/** Time as a dependency: code that schedules or measures takes a Clock, so that tests control the time. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /**
   * Resolves after `ms` milliseconds; rejects with the signal's reason when it is aborted first.
   * For back-off and deadlines only. State that can be watched must be watched instead.
   */
  after(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's own clock. A pending `after` keeps the process alive until its signal is aborted. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};
