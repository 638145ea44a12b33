import type { Attempt } from './build-model.ts';

/** A bar of a time line; places are shares of its width, 0 to 1. */
export interface Bar {
  readonly attempt: Attempt;
  readonly from: number;
  readonly width: number;
  readonly durationMs: number;
}

/** A stretch of time. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Short attempts must still be seen. */
const MIN_WIDTH = 0.006;

/** From the first start to the last end, or to now while something runs; null before anything has started. */
export function spanOf(attempts: readonly Attempt[], now: number): Span | null {
  if (attempts.length === 0) return null;
  const fromMs = Math.min(...attempts.map(({ startedAt }) => startedAt));
  const toMs = Math.max(...attempts.map(({ finishedAt }) => finishedAt ?? now));
  return { fromMs, toMs: Math.max(toMs, fromMs + 1) };
}

export function barsOf(attempts: readonly Attempt[], { fromMs, toMs }: Span, now: number): Bar[] {
  const whole = toMs - fromMs;
  return attempts.map((attempt) => {
    const durationMs = Math.max(0, (attempt.finishedAt ?? now) - attempt.startedAt);
    const width = Math.min(1, Math.max(MIN_WIDTH, durationMs / whole));
    const from = Math.min(Math.max(0, (attempt.startedAt - fromMs) / whole), 1 - width);
    return { attempt, from, width, durationMs };
  });
}
