import { base64Forms, encodings } from './encodings.ts';

/**
 * Hides secrets in a text. `cut` states at which ends the text was cut off in the middle of a line, so that the half
 * of a secret that is left there is hidden too.
 */
export type Mask = (text: string, cut?: Cut) => string;

export interface Cut {
  readonly start?: boolean;
  readonly end?: boolean;
}

const MASK = '***';
/** Shorter lines of a multi-line secret would hide half of any text and are not secret: `{`, `- `. */
const SHORTEST_LINE = 3;
/** Shorter ends of a cut text are not taken for the half of a secret. */
const SHORTEST_HALF = 4;
/** Shorter ends of a line are not taken for a piece of Base64 whose lines were broken. */
const SHORTEST_PIECE = 12;
/** Possible part of a secret, at the start or the end of a line. */
const PIECES = /^[\w+/=-]{12,}|[\w+/=-]{12,}$/m;

/** From where to where, the end excluded. */
type Range = readonly [number, number];

/**
 * Replaces every secret by `***`, however short it is. Each line of a secret with several (a key) counts on its own, and
 * the forms in which scripts like to print a secret count too: Base64 in lines of any length, URL, form and JSON.
 */
export function maskSecrets(secrets: readonly (string | undefined)[]): Mask {
  const known = secrets.filter((secret) => secret !== undefined);
  const base64 = [...new Set(known.flatMap((secret) => [secret, secret.trim()]).flatMap(base64Forms))];
  const hidden = [...new Set([...known.flatMap(formsOf), ...base64])];
  if (hidden.length === 0) return (text) => text;
  return (text, cut = {}) => {
    const ranges = [
      ...hidden.flatMap((value) => [...occurrences(text, value), ...halves(text, value, cut)]),
      ...(PIECES.test(text) ? brokenLines(text, base64) : []),
    ];
    return ranges.length === 0 ? text : cover(text, ranges);
  };
}

function formsOf(secret: string): string[] {
  const whole = secret.trim();
  const lines = whole.split('\n').map((line) => line.trim());
  // The frame of a key is not a secret.
  const single = lines.filter((line) => line.length >= SHORTEST_LINE && !line.startsWith('-----'));
  return [whole, ...single, ...encodings(secret), ...encodings(whole)].filter((form) => form !== '');
}

function occurrences(text: string, value: string): Range[] {
  const found: Range[] = [];
  for (let at = text.indexOf(value); at !== -1; at = text.indexOf(value, at + 1)) found.push([at, at + value.length]);
  return found;
}

/** Parts of a value in lines that were broken inside it. */
function brokenLines(text: string, values: readonly string[]): Range[] {
  const found: Range[] = [];
  let at = 0;
  for (const line of text.split('\n')) {
    const whole = line.replace(/\r$/, '');
    const from = at;
    at += line.length + 1;
    if (!PIECES.test(whole)) continue;
    for (const value of values) {
      const pieces = halves(whole, value, { start: true, end: true });
      for (const [start, end] of pieces) if (end - start >= SHORTEST_PIECE) found.push([from + start, from + end]);
    }
  }
  return found;
}

function halves(text: string, value: string, { start = false, end = false }: Cut): Range[] {
  if (start && end && text.length >= SHORTEST_HALF && value.includes(text)) return [[0, text.length]];
  const longest = Math.min(value.length - 1, text.length);
  const found: Range[] = [];
  for (let length = longest; start && length >= SHORTEST_HALF && found.length === 0; length -= 1) {
    if (text.startsWith(value.slice(-length))) found.push([0, length]);
  }
  for (let length = longest; end && length >= SHORTEST_HALF; length -= 1) {
    if (!text.endsWith(value.slice(0, length))) continue;
    found.push([text.length - length, text.length]);
    break;
  }
  return found;
}

/** One mask for each stretch that the ranges cover together. */
function cover(text: string, ranges: Range[]): string {
  let masked = '';
  let shownTo = 0;
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    if (from > shownTo || (from === 0 && masked === '')) masked += `${text.slice(shownTo, from)}${MASK}`;
    shownTo = Math.max(shownTo, to);
  }
  return masked + text.slice(shownTo);
}

/** Deeper than any reader needs; values there may be circular. */
const DEEPEST = 8;

/** The same value with every text in it masked, as JSON would show it. Objects with their own `toJSON` stay as they are. */
export function maskTexts<T>(value: T, mask: Mask, depth?: number): T;
export function maskTexts(value: unknown, mask: Mask, depth = 0): unknown {
  if (typeof value === 'string') return mask(value);
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return value;
  if (depth === DEEPEST) return '[deeper]';
  if (Array.isArray(value)) return value.map((item) => maskTexts(item, mask, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, maskTexts(item, mask, depth + 1)]));
}
