import { readdirSync, realpathSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import {
  type Found,
  type LocalFileItem,
  type LocalLookup,
  MAX_LOCAL_FILES,
  sorted,
} from '../../common/contracts/local-files.ts';
import { type LocalReference, localPaths } from '../../common/contracts/module/parse.ts';
import { didYouMean } from '../../common/contracts/module/suggest.ts';
import type { SourceFile } from '../../common/contracts/module/yaml-source.ts';
import { hasErrorCode } from '../../common/errors/error-code.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { contentSigns } from './content-signs.ts';

/** How local files are looked for. */
export interface LocalSearch {
  readonly variables: Readonly<Record<string, string>>;
  /** Whether modules may name files outside the folder of their module file. */
  readonly allowOutside: boolean;
}

/** The item at each path that modules name. */
export type FoundFiles = ReadonlyMap<string, Found>;

/** Left out of folders: it changes with every commit, and holds more than its present files. */
const LEFT_OUT = '.git';

/** Looks at everything beside module files that modules name; reads no more of it than its first bytes. */
export function findLocalFiles(files: readonly SourceFile[], { variables, allowOutside }: LocalSearch): FoundFiles {
  return new Map(
    localPaths(files, variables).map((reference) => [reference.path, new Search(reference, allowOutside).find()]),
  );
}

export function lookupFound(found: FoundFiles): LocalLookup {
  return (path) => found.get(path);
}

/** Something is wrong with a path, as a clause. */
class Complaint extends Error {}

class Search {
  readonly #reference: LocalReference;
  readonly #allowOutside: boolean;
  readonly #doubts: string[] = [];
  readonly #items = new Map<string, LocalFileItem | null>();

  constructor(reference: LocalReference, allowOutside: boolean) {
    this.#reference = reference;
    this.#allowOutside = allowOutside;
  }

  find(): Found {
    const { path } = this.#reference;
    try {
      const real = this.#resolve(path);
      const found = statSync(real);
      if (found.isFile()) return { item: { ...fileItem(found), shows: contentSigns(real) } };
      if (!found.isDirectory()) throw new Complaint('is neither a file nor a folder');
      this.#walk(path, '', [real]);
      const doubts = this.#doubts.length > 0 ? { doubts: this.#doubts } : {};
      return { item: { kind: 'folder', items: sorted(this.#items) }, ...doubts };
    } catch (error) {
      if (error instanceof Complaint) return { complaint: error.message };
      return { complaint: `cannot be read: ${errorMessage(error)}` };
    }
  }

  /** `at` is the path inside the folder; `above` are the real folders on the way, so that links end somewhere. */
  #walk(folder: string, at: string, above: readonly string[]): void {
    for (const name of readdirSync(join(folder, at))) {
      const inner = at === '' ? name : `${at}/${name}`;
      if (name === LEFT_OUT) {
        this.#doubts.push(`contains "${inner}", which is not sent: name it explicitly to send it`);
        continue;
      }
      const real = this.#resolve(join(folder, inner), inner);
      const found = statSync(real);
      if (found.isFile()) this.#items.set(inner, fileItem(found));
      else if (!found.isDirectory()) throw new Complaint(`holds "${inner}", which is neither a file nor a folder`);
      else if (above.includes(real)) throw new Complaint(`holds "${inner}", a link to a folder that contains it`);
      else {
        this.#items.set(inner, null);
        this.#walk(folder, inner, [...above, real]);
      }
      if (this.#items.size > MAX_LOCAL_FILES)
        throw new Complaint(`holds more than ${MAX_LOCAL_FILES} files and folders`);
    }
  }

  /** Where a path really leads. */
  #resolve(path: string, inner?: string): string {
    const subject = inner === undefined ? '' : `holds "${inner}", which `;
    let real: string;
    try {
      real = realpathSync(path);
    } catch (error) {
      const isMissing = hasErrorCode(error, 'ENOENT');
      if (isMissing && inner === undefined) throw new Complaint(this.#missing());
      throw new Complaint(`${subject}${isMissing ? 'is a broken link' : `cannot be read: ${errorMessage(error)}`}`);
    }
    if (this.#allowOutside) return real;
    const root = realpathSync(dirname(this.#reference.moduleFile));
    const way = relative(root, real);
    if (way !== '..' && !way.startsWith(`..${sep}`)) return real;
    throw new Complaint(
      `${subject}leads to "${real}", outside the folder of the module file ("${root}"): put it there, or allow it with --allow-outside`,
    );
  }

  #missing(): string {
    const { path, written } = this.#reference;
    if (written.startsWith('~')) return 'does not exist: ~ is not expanded, a path is relative to the module file';
    if (/[*?[{]/.test(written)) return 'does not exist: patterns are not expanded, name the file or its folder';
    if (written.includes('\\')) return 'does not exist: write / between the names of folders and files';
    const folder = dirname(path);
    const names = statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder) : [];
    return `does not exist (looked for "${path}")${didYouMean(basename(path), names)}`;
  }
}

function fileItem({ size, mode }: Stats): LocalFileItem {
  return { kind: 'file', sha256: '', sizeBytes: size, mode: mode & 0o777 };
}
