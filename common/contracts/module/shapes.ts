import { z } from 'zod';
import { foreignKey } from './foreign-keys.ts';
import { quoted } from './parsed.ts';
import { MAX_LISTED } from './problem-list.ts';
import { didYouMean } from './suggest.ts';

/** Keys of a map in one message. */
const MOST_KEYS = 6;

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
          : `${misshapen(issue.input, 'a map of keys and values')}${keysExpected(issue.input, shape)}`,
    })
    .meta(id === undefined ? { description } : { description, id });
}

export function list<Item extends z.ZodType>(description: string, item: Item, most = Number.POSITIVE_INFINITY) {
  const items = z.array(item, { error: (issue) => misshapen(issue.input, 'a list') });
  const isBounded = Number.isFinite(most);
  return (isBounded ? items.max(most, { error: `has more than ${most} items` }) : items).meta({ description });
}

/** Allowed names of a map, and their rule in words. */
export interface Names {
  readonly names: RegExp;
  readonly meaning: string;
}

/** A map from names of the user's own choice. */
export function dictionary<Item extends z.ZodType>(description: string, { names, meaning }: Names, item: Item) {
  return z
    .record(z.string().regex(names), item, {
      error: (issue) =>
        issue.code === 'invalid_key'
          ? `is not an allowed name here: ${meaning}`
          : misshapen(issue.input, 'a map of names and values, such as NAME: value'),
    })
    .meta({ description });
}

/** Any value, for fields that other programs write. */
export function anything(description: string) {
  return z.unknown().meta({ description });
}

/** In place of a map someone wrote what they think is its main value. */
function keysExpected(written: unknown, shape: z.ZodRawShape): string {
  const isText = typeof written === 'string' || typeof written === 'number';
  return isText ? `; its keys are ${Object.keys(shape).slice(0, MOST_KEYS).join(', ')}` : '';
}

/** One line for each unknown key, in the order of the issue's `keys`; none for those that are not listed. */
function unknownKeysMessage(keys: readonly string[] | undefined, shape: z.ZodRawShape): string {
  const known = Object.keys(shape);
  return (keys ?? [])
    .slice(0, MAX_LISTED)
    .map((key) => {
      const hint =
        homeOf(key, shape) ?? (known.some((name) => folded(name) === folded(key)) ? undefined : foreignKey(key));
      return `unknown key ${quoted(key)}${hint ?? keyHint(key, known)}`;
    })
    .join('\n');
}

/** Where a key of one level below belongs, also in the spelling of Packer: `ssh_username`. */
function homeOf(key: string, shape: z.ZodRawShape): string | undefined {
  for (const name of Object.keys(shape)) {
    const meant = keysOf(shape[name]).find((candidate) => folded(candidate) === folded(key));
    if (meant !== undefined) return `; it belongs under "${name}"${meant === key ? '' : ` as "${meant}"`}`;
  }
  return undefined;
}

function folded(key: string): string {
  return key.replaceAll(/[_-]/g, '').toLowerCase();
}

/** Suggestion for an unknown key. */
export function keyHint(key: string, known: readonly string[]): string {
  if (/^(x-|\.)/.test(key)) return '; there is no place for anchors alone: write & where the value is used first';
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
