import type { Clock } from '../clock/clock.ts';
import type { Logger } from '../logging/logger.ts';
import { type Alarm, createAlarm } from './alarm.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10_000;

/** Rings on possible changes, until `signal` is aborted. One that fails ends the looks. */
export type Wake = (ring: () => void, signal: AbortSignal) => Promise<void> | void;

/** A part of the farm that looks at some state and does what is due, for as long as its process runs. */
export interface LookAgainOptions {
  /** Name of a failed look in the log: "Dispatch". */
  readonly what: string;
  /** Fields of its log lines. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** One look; level-triggered. Returns in how many ms the next one is due, `everyMs` when that is null or later. */
  look(): Promise<number | null>;
  /** Notices may be lost: the state is read at this interval, ms, even without a ring. */
  readonly everyMs: number;
  readonly wake?: readonly Wake[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Looks at once, at every ring, when the last look requested it, and at a slow interval, until `signal` is aborted. A failed look is repeated
 * with growing pauses; the log has a warning when looks begin to fail, and a line when they succeed again.
 */
export async function lookAgain(options: LookAgainOptions, signal: AbortSignal): Promise<void> {
  const alarm = createAlarm(options.clock);
  const wakes = (options.wake ?? []).map((wake) => wake(() => alarm.ring(), signal));
  await Promise.all([keepLooking(options, alarm, signal), ...wakes]);
}

async function keepLooking(
  { what, fields, look, everyMs, logger }: LookAgainOptions,
  alarm: Alarm,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    let nextMs = everyMs;
    alarm.reset();
    try {
      nextMs = Math.min(nextMs, (await look()) ?? everyMs);
      if (failures > 0) logger.info({ ...fields, failures }, `${what} succeeded again`);
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      nextMs = Math.min(nextMs, FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
      failures += 1;
      const level = failures === 1 ? 'warn' : 'debug';
      logger[level]({ err: error, ...fields, failures, retryInMs: nextMs }, `${what} failed; retrying`);
    }
    if (nextMs > 0) await alarm.within(nextMs, signal);
  }
}
