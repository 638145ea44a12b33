import type { Clock } from '../clock/clock.ts';

/** Where durations of something that succeeds or fails are kept, in seconds: a histogram of `common/metrics`. */
interface Durations {
  observe(labels: { readonly outcome: string }, seconds: number): void;
}

/** Runs a task and records its duration. An aborted task neither succeeded nor failed, and is not recorded. */
export async function timed<T>(
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  durations: Durations,
  work: () => Promise<T>,
): Promise<T> {
  const startedAt = clock.now();
  const keep = (outcome: string) => durations.observe({ outcome }, (clock.now() - startedAt) / 1000);
  try {
    const result = await work();
    keep('succeeded');
    return result;
  } catch (error) {
    if (!signal.aborted) keep('failed');
    throw error;
  }
}
