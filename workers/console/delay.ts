import type { Clock } from '../../common/clock/clock.ts';

/** Waits until the clock shows `time`; not at all when it has passed. */
export async function delayUntil(clock: Clock, time: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const ms = time - clock.now();
  if (ms > 0) await clock.after(ms, signal);
}
