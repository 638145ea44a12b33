import type { Clock } from '../clock/clock.ts';
import { FarmError } from '../errors/farm-error.ts';

const FIRST_MS = 100;
const LONGEST_MS = 5_000;

/**
 * Calls again and again while the farm's own services do not answer (kind `unavailable`), with growing pauses. For work
 * that must not be given up because Redis is away: its result, its log. Every other error is thrown at once.
 */
export async function whileUnavailable<T>(
  { clock, signal }: { readonly clock: Clock; readonly signal?: AbortSignal },
  call: () => Promise<T>,
): Promise<T> {
  for (let pauseMs = FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_MS)) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof FarmError && error.kind === 'unavailable')) throw error;
      await clock.after(pauseMs, signal);
    }
  }
}
