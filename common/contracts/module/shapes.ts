import { z } from 'zod';
import { quoted } from './parsed.ts';
import { MAX_LISTED } from './problem-list.ts';
import { didYouMean } from './suggest.ts';

/**
 * A map with exactly these keys; an unknown key is reported with the nearest known one. With an `id` the JSON Schema
 * defines it once.
 */
export function map<const Shape extends z.ZodRawShape>(description: string, shape: Shape, id?: string) {
  return z
    .strictObject(shape, {
      error: (issue) =>
        issue.code === 'unrecognized_keys'
          ? unknownKeysMessage(issue.keys, shape)
          : misshapen(issue.input, 'a map of keys and values'),
    })
    .meta(id === undefined ? { description } : { description, id });
}

export function list<Item extends z.ZodType>(description: string, item: Item, most = Number.POSITIVE_INFINITY) {
  const items = z.array(item, { error: (issue) => misshapen(issue.input, 'a list') });
  const isBounded = Number.isFinite(most);
  return (isBounded ? items.max(most, { error: `has more than ${most} items` }) : items).meta({ description });
}

/** A map from names of the user's own choice. */
export function dictionary<Item extends z.ZodType>(description: string, names: RegExp, item: Item) {
  return z
    .record(z.string().regex(names), item, {
      error: (issue) =>
        issue.code === 'invalid_key'
          ? 'is not an allowed name here'
          : misshapen(issue.input, 'a map of names and values'),
    })
    .meta({ description });
}

/** Any value, for fields that other programs write. */
export function anything(description: string) {
  return z.unknown().meta({ description });
}

/** One line for each unknown key, in the order of the issue's `keys`; none for those that are not listed. */
function unknownKeysMessage(keys: readonly string[] | undefined, shape: z.ZodRawShape): string {
  const known = Object.keys(shape);
  return (keys ?? [])
    .slice(0, MAX_LISTED)
    .map((key) => {
      const home = known.find((name) => keysOf(shape[name]).includes(key));
      return `unknown key ${quoted(key)}${home ? `; it belongs under "${home}"` : keyHint(key, known)}`;
    })
    .join('\n');
}

/** Suggestion for an unknown key. */
export function keyHint(key: string, known: readonly string[]): string {
  if (key.includes('\u00a0')) return '; it holds a no-break space (U+00A0): write a plain one';
  const isText = key.trim().includes(' ');
  return isText ? '; a comma between braces ends a text: put the text in quotes' : didYouMean(key, known);
}

function keysOf(schema: z.core.$ZodType | undefined): string[] {
  const inner = schema instanceof z.ZodOptional ? schema.unwrap() : schema;
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

function misshapen(written: unknown, expected: string): string {
  if (written === undefined) return 'is required';
  if (written === null) return `has no value: write ${expected}, or remove the key`;
  return `must be ${expected}`;
}
