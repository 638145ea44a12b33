const STEPS = [
  [60_000, 1_000, 's'],
  [3_600_000, 60_000, 'min'],
  [86_400_000, 3_600_000, 'h'],
  [Number.POSITIVE_INFINITY, 86_400_000, 'd'],
] as const;

/** `12 min ago`: milliseconds in their largest whole unit. */
export function ageOf(ms: number): string {
  const past = Math.max(0, ms);
  if (past < 5_000) return 'just now';
  const [, unitMs, unit] = STEPS.find(([below]) => past < below) ?? STEPS[3];
  return `${Math.floor(past / unitMs)} ${unit} ago`;
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `1.5 GiB`. */
export function sizeOf(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), BYTES.length - 1);
  const value = bytes / 1024 ** power;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${BYTES[power]}`;
}
