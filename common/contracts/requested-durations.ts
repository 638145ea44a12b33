import { z } from 'zod';
import { parseAge, parseDuration } from './module/duration.ts';
import type { Parsed } from './module/parsed.ts';

/** With eight digits before the point no sum of so many characters is beyond what a date can be. */
const MAX_LENGTH = 32;
const AMOUNT = '([0-9]{1,8}(\\.[0-9]{0,8})?|\\.[0-9]{1,8})';

/** A duration as `parseDuration` reads it, as the source of a regular expression; longer than zero. */
const DURATION = `(?=.*[1-9])(${AMOUNT}(ns|us|µs|μs|ms|s|m|h))+`;
const AGE = `[1-9][0-9]{0,5}[dw]|${DURATION}`;

/** A duration such as `90m` in a request, of at most `mostMs`; milliseconds when it is read. `refusal` names that limit. */
export function durationUpTo(mostMs: number, refusal: string) {
  return written(DURATION, parseDuration, () => refusal).refine((ms) => ms <= mostMs, refusal);
}

/** `abort`, `keep` or `keep=DURATION`: for how many milliseconds the machine of a failed step is kept; null: not at all. */
export function keepUpTo(mostMs: number, { otherwiseMs }: { readonly otherwiseMs: number }) {
  const refusal = 'Write abort, keep, or keep=DURATION such as keep=30m, of at most 24h.';
  const read = (text: string): Parsed<number | null> => {
    if (text === 'abort') return { value: null };
    return text === 'keep' ? { value: otherwiseMs } : parseDuration(text.slice('keep='.length));
  };
  const keep = written(`abort|keep|keep=${DURATION}`, read, () => refusal);
  return keep.refine((ms) => ms === null || ms <= mostMs, refusal);
}

const refusedAge = (complaint: string) => `${complaint}, or "30d" for days.`;

/** An age such as `30d` or `12h` in a request; milliseconds when it is read. */
export const ageSchema = written(AGE, parseAge, refusedAge);

/** The same, or `0`. */
export const ageOrZeroSchema = written(
  `0|${AGE}`,
  (text) => (text === '0' ? { value: 0 } : parseAge(text)),
  refusedAge,
);

/** A text of a pattern, which descriptions of the API declare, with what `read` makes of it. */
function written<T>(pattern: string, read: (text: string) => Parsed<T>, refused: (complaint: string) => string) {
  const complaintOf = (text: string): string => {
    const parsed = read(text);
    return 'complaint' in parsed ? parsed.complaint : `"${text}" is too long`;
  };
  return z
    .string()
    .max(MAX_LENGTH)
    .regex(new RegExp(`^(${pattern})$`), { error: ({ input }) => refused(complaintOf(String(input))) })
    .transform((text, context): T => {
      const parsed = read(text);
      if ('value' in parsed) return parsed.value;
      context.addIssue(refused(parsed.complaint));
      return z.NEVER;
    });
}
