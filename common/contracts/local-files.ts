import { normalize } from 'node:path/posix';
import { z } from 'zod';
import { sha256Schema } from './blobs.ts';

/** Files and folders that one submission may name. */
export const MAX_LOCAL_FILES = 20_000;

const path = z.string().min(1).max(4096);

/** A file beside a module: its path in the name space of `files[].path`, and its content. */
const localFileSchema = z.strictObject({
  path,
  sha256: sha256Schema,
  sizeBytes: z.int().min(0),
  mode: z
    .string()
    .regex(/^[0-7]{3,4}$/, 'A mode is written in octal, such as "0755".')
    .default('0644'),
});

/** A folder beside a module. Those of its files need not be listed. */
const localFolderSchema = z.strictObject({ path, folder: z.literal(true) });

/** The local files that the modules of a submission name; folders with their whole content. */
export const localEntrySchema = z.union([localFileSchema, localFolderSchema]);
export type LocalEntry = z.input<typeof localEntrySchema>;

/** A file as it was found. `sha256` is empty where the file was not read. */
export interface LocalFileItem {
  readonly kind: 'file';
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Permission bits. */
  readonly mode: number;
  /** Format by its first bytes, if they were read. */
  readonly shows?: ContentSigns;
}

/** Findings from the first bytes of a file. */
export interface ContentSigns {
  /** Kind of a file that is not a disk image, such as `a PDF, not a disk image`; null: it may be one. */
  readonly notAnImage: string | null;
  readonly isIso: boolean;
  /** Why it cannot be a script, such as `in UTF-16`; null: it can. */
  readonly notAScript: string | null;
  /** Lines end with CR LF, as Windows writes them. */
  readonly hasCrlf: boolean;
}

/** A folder with everything below it, by path in it; null: a folder. */
export interface LocalFolderItem {
  readonly kind: 'folder';
  readonly items: ReadonlyMap<string, LocalFileItem | null>;
}

/** The item at a path, or its error (a clause), and warnings about it. */
export type Found =
  | { readonly item: LocalFileItem | LocalFolderItem; readonly doubts?: readonly string[] }
  | { readonly complaint: string };

/** Returns the item at a path of `files[].path`; undefined: unknown. */
export type LocalLookup = (path: string) => Found | undefined;

/** Looks items up in the list of a submission. */
export function lookupIn(entries: readonly LocalEntry[]): LocalLookup {
  const files = new Map<string, LocalFileItem>();
  const folders = new Set<string>();
  for (const entry of entries) {
    const at = normalLocalPath(entry.path);
    if ('folder' in entry) folders.add(at);
    else {
      const { sha256, sizeBytes, mode = '0644' } = entry;
      files.set(at, { kind: 'file', sha256, sizeBytes, mode: Number.parseInt(mode, 8) });
    }
  }
  const names = [...new Set([...files.keys(), ...folders])].sort(byCodePoint);
  const known = new Map<string, Found | undefined>();
  const find = (at: string): Found | undefined => {
    const file = files.get(at);
    if (file) return { item: file };
    const start = at === '.' ? '' : at.endsWith('/') ? at : `${at}/`;
    const items = new Map<string, LocalFileItem | null>();
    for (let index = firstNotBefore(names, start); index < names.length; index++) {
      const name = names[index] ?? '';
      if (!name.startsWith(start)) break;
      const below = name.slice(start.length);
      // What is above `.` or `..` begins as what is below it does.
      const isOutside = below.startsWith('/') || below === '..' || below.startsWith('../');
      if (below !== '' && !isOutside) items.set(below, files.get(name) ?? null);
    }
    if (items.size === 0 && !folders.has(at)) return undefined;
    return { item: { kind: 'folder', items: sorted(items) } };
  };
  return (at) => {
    if (!known.has(at)) known.set(at, find(at));
    return known.get(at);
  };
}

function firstNotBefore(names: readonly string[], start: string): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((names[middle] ?? '') < start) low = middle + 1;
    else high = middle;
  }
  return low;
}

function byCodePoint(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** By code point, so that the order is the same everywhere. */
export function sorted<T>(items: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...items].sort(([a], [b]) => byCodePoint(a, b)));
}

/** One spelling of a path: no `./`, no inner `..`, no slash at the end. */
export function normalLocalPath(written: string): string {
  const normal = normalize(written);
  return normal.length > 1 ? normal.replace(/\/$/, '') : normal;
}

/** Where a path that a module file names lies, in the name space of the paths of module files. */
export function beside(moduleFile: string, written: string): string {
  if (written.startsWith('/')) return normalLocalPath(written);
  const folder = moduleFile.slice(0, moduleFile.lastIndexOf('/') + 1);
  return normalLocalPath(`${folder}${written}`);
}
