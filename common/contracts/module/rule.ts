import type { Cursor } from './cursor.ts';
import type { ProblemCode, Severity } from './problem.ts';
import { didYouMean } from './suggest.ts';

/**
 * Reports a problem at a place of the body; `within` is the position inside its text. A message that takes
 * time to find is a function: only some problems are listed.
 */
export type Report = (
  at: Cursor,
  code: ProblemCode,
  message: string | (() => string),
  severity?: Severity,
  within?: { readonly line: number; readonly column: number },
) => void;

/**
 * A check of the body that the shape of its parts cannot express. It must tolerate malformed parts. `isFolded` returns
 * whether a text was written below a `>`, which makes one line of several.
 */
export type Rule = (body: Cursor, report: Report, isFolded: (at: Cursor) => boolean) => void;

/** No two items of a list may have the same value under the key. */
export function reportRepeated(items: readonly Cursor[], key: string, report: Report): void {
  const seen = new Set<unknown>();
  for (const item of items) {
    const { value, isPresent } = item.at(key);
    if (isPresent && seen.has(value)) report(item.at(key), 'DuplicateName', () => `"${value}" is already used`);
    seen.add(value);
  }
}

/** Names that may be referred to, and their kind. */
export interface Declared {
  readonly what: string;
  readonly names: ReadonlySet<string>;
}

/** A name must be one of the known ones. */
export function reportUnknown(name: Cursor, { what, names }: Declared, report: Report): void {
  const { text } = name;
  if (text === null || names.has(text)) return;
  report(name, 'UnknownReference', () => {
    const hint = names.size > 0 ? didYouMean(text, [...names]) : `; no ${what} is declared`;
    return `unknown ${what} "${text}"${hint}`;
  });
}

/** Exactly one of the keys must be there. */
export function reportUnlessOne(holder: Cursor, keys: readonly string[], report: Report): void {
  if (typeof holder.value !== 'object' || holder.value === null) return;
  const given = keys.filter((key) => holder.at(key).isPresent);
  if (given.length === 0) report(holder, 'MissingField', `needs one of ${keys.join(', ')}`);
  if (given.length > 1) {
    report(holder.at(given[1] ?? ''), 'Conflict', `${given.join(' and ')} are mutually exclusive: keep one`);
  }
}

/** The names of a list's items. */
export function namesOf(items: readonly Cursor[]): Set<string> {
  return new Set(items.flatMap((item) => item.at('name').text ?? []));
}
