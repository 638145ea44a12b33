/** Milliseconds in readable form: `840 ms`, `12.3 s`, `4 min 10 s`, `3 h 5 min`. */
export function seconds(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const tenths = Math.round(ms / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const whole = Math.round(ms / 1_000);
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}

const STEPS = [
  [60_000, 1_000, 's'],
  [3_600_000, 60_000, 'min'],
  [86_400_000, 3_600_000, 'h'],
  [Number.POSITIVE_INFINITY, 86_400_000, 'd'],
] as const;

/** `12 min ago`: milliseconds in their largest whole unit. */
export function ageOf(ms: number): string {
  const past = Math.max(0, ms);
  return past < 5_000 ? 'just now' : `${inUnits(past)} ago`;
}

/** `in 12 min`; what should have been is `now`. */
export function until(ms: number): string {
  return ms < 1_000 ? 'now' : `in ${inUnits(ms)}`;
}

function inUnits(ms: number): string {
  const [, unitMs, unit] = STEPS.find(([below]) => ms < below) ?? STEPS[3];
  return `${Math.floor(ms / unitMs)} ${unit}`;
}
