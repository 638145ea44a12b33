import { setTimeout as delay } from 'node:timers/promises';

/** Time as a dependency: code that schedules or measures takes a Clock, so that tests control the time. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /**
   * Resolves after `ms` milliseconds; rejects with the signal's reason when it is aborted first.
   * For back-off and deadlines only: whatever can be watched must be watched instead.
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
