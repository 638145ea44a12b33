import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { LocalEntry, LocalLookup } from '../../common/contracts/local-files.ts';
import { lookupIn } from '../../common/contracts/local-files.ts';
import { FarmError, wrapError } from '../../common/errors/farm-error.ts';
import type { TransferLine } from '../output/transfer-line.ts';
import type { FoundFiles } from './find-local-files.ts';

/** A file whose content was hashed. */
export interface LocalContentFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/** The list of local files of a submission, and the paths of their contents. */
export interface HashedFiles {
  readonly entries: readonly LocalEntry[];
  /** By SHA-256. */
  readonly contents: ReadonlyMap<string, LocalContentFile>;
  readonly lookup: LocalLookup;
}

/** Reads every file that was found, each once. @throws InvalidRequest when one cannot be read or changes meanwhile */
export async function hashLocalFiles(found: FoundFiles, line: TransferLine): Promise<HashedFiles> {
  const entries = new Map<string, LocalEntry>();
  const contents = new Map<string, LocalContentFile>();
  const addFile = async (path: string, mode: number) => {
    if (entries.has(path)) return;
    const { sha256, ...content } = await hashFile(path, line);
    if (!contents.has(sha256)) contents.set(sha256, content);
    entries.set(path, { path, sha256, sizeBytes: content.sizeBytes, mode: `0${mode.toString(8).padStart(3, '0')}` });
  };
  for (const [path, at] of found) {
    if ('complaint' in at) continue;
    if (at.item.kind === 'file') await addFile(path, at.item.mode);
    else {
      entries.set(path, { path, folder: true });
      for (const [inner, file] of at.item.items) {
        const below = path === '.' ? inner : `${path}/${inner}`;
        if (file) await addFile(below, file.mode);
        else entries.set(below, { path: below, folder: true });
      }
    }
  }
  line.clear();
  const list = [...entries.values()];
  return { entries: list, contents, lookup: lookupHashed(found, lookupIn(list)) };
}

/** As it was found, with its hashes. */
function lookupHashed(found: FoundFiles, hashed: LocalLookup): LocalLookup {
  return (path) => {
    const seen = found.get(path);
    const known = hashed(path);
    if (!seen || 'complaint' in seen || !known || 'complaint' in known) return seen;
    const shows = seen.item.kind === 'file' ? seen.item.shows : undefined;
    return { ...seen, item: known.item.kind === 'file' && shows ? { ...known.item, shows } : known.item };
  };
}

/** @throws InvalidRequest when it cannot be read or changes meanwhile */
export async function hashFile(
  path: string,
  line: TransferLine,
): Promise<LocalContentFile & { readonly sha256: string }> {
  try {
    const { size: sizeBytes, mtimeMs: modifiedMs } = await stat(path);
    const hash = createHash('sha256');
    let doneBytes = 0;
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 ** 2 })) {
      hash.update(chunk as Buffer);
      doneBytes += (chunk as Buffer).length;
      line.show(`reading ${path}`, doneBytes, sizeBytes);
    }
    if (doneBytes !== sizeBytes) throw new FarmError('InvalidRequest', 'it changed while it was read');
    return { path, sizeBytes, modifiedMs, sha256: hash.digest('hex') };
  } catch (error) {
    throw wrapError(error, `Reading "${path}"`, 'InvalidRequest');
  }
}
