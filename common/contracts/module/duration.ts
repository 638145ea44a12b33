import { type Parsed, quoted } from './parsed.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
const COMPONENT = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;
/** Units that people write and Go does not know. */
const SPOKEN = /^(\d+)\s*(second|sec|minute|min|hour|hr|day|week|d|w)s?$/i;
const SPOKEN_AS: Readonly<Record<string, readonly [number, string]>> = {
  second: [1, 's'],
  sec: [1, 's'],
  minute: [1, 'm'],
  min: [1, 'm'],
  hour: [1, 'h'],
  hr: [1, 'h'],
  day: [24, 'h'],
  d: [24, 'h'],
  week: [168, 'h'],
  w: [168, 'h'],
};

/** Reads a positive Go duration (`90s`, `1h30m`, `1.5h`; Go's `time.ParseDuration`) as milliseconds, rounded up. */
export function parseDuration(written: unknown): Parsed<number> {
  if (Number.isFinite(written))
    return { complaint: `${quoted(written)} has no unit: write "${written}s" or "${written}m"` };
  if (typeof written !== 'string') return { complaint: `${quoted(written)} is not a duration such as 90s or 1h30m` };
  if (!DURATION.test(written))
    return { complaint: `${quoted(written)} is not a duration: write ${likelyMeaning(written)}` };
  let ms = 0;
  for (const [, number, unit = ''] of written.matchAll(COMPONENT)) ms += Number(number) * (UNIT_MS[unit] ?? 0);
  if (ms <= 0) return { complaint: `${quoted(written)} is zero: write a duration longer than zero` };
  const rounded = Math.max(1, Math.ceil(Number(ms.toFixed(6))));
  return Number.isSafeInteger(rounded) ? { value: rounded } : { complaint: `${quoted(written)} is too long` };
}

const DAY_MS = 86_400_000;
const DAYS: Readonly<Record<string, number>> = { d: DAY_MS, w: 7 * DAY_MS };

/** As `parseDuration`, and whole days (`7d`) and weeks (`2w`), which Go's durations do not have. */
export function parseAge(written: unknown): Parsed<number> {
  const [, number, unit = ''] = /^([1-9]\d{0,5})([dw])$/.exec(String(written)) ?? [];
  if (number !== undefined) return { value: Number(number) * (DAYS[unit] ?? 0) };
  const read = parseDuration(written);
  return 'complaint' in read && Number.isFinite(written)
    ? { complaint: `${quoted(written)} has no unit: write "${written}d" or "${written}h"` }
    : read;
}

const WRITTEN = [['d', DAY_MS] as const, ...Object.entries(UNIT_MS).reverse()];

/** A duration as `parseAge` reads it, in one unit: `7d`, `36h`. */
export function formatAge(ms: number): string {
  const [unit = 'ms', unitMs = 1] = WRITTEN.find(([, candidate]) => ms % candidate === 0) ?? [];
  return `${ms / unitMs}${unit}`;
}

function likelyMeaning(written: string): string {
  const spoken = SPOKEN.exec(written.trim());
  const meaning = spoken && SPOKEN_AS[(spoken[2] ?? '').toLowerCase()];
  if (meaning) return `"${Number(spoken[1]) * meaning[0]}${meaning[1]}"`;
  const compact = written.replaceAll(/\s+/g, '').toLowerCase();
  if (DURATION.test(compact)) return `"${compact}"`;
  return /^\d+$/.test(compact) ? `"${compact}s" or "${compact}m"` : 'one such as "90s", "30m" or "1h30m"';
}
