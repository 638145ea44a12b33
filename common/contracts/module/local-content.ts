import { assert } from '../../errors/farm-error.ts';
import { blobUrl } from '../blobs.ts';
import { beside, type LocalFileItem, type LocalLookup } from '../local-files.ts';
import type { LocalContent, LocalFile, LocalFolder } from './contents.ts';

/** The local files beside one module file; only for paths that `localFileRule` accepted. */
export class LocalFinder {
  readonly #file: string;
  readonly #lookup: LocalLookup;

  constructor(file: string, lookup: LocalLookup) {
    this.#file = file;
    this.#lookup = lookup;
  }

  content(written: string): LocalContent {
    const found = this.#lookup(beside(this.#file, written));
    assert(found && 'item' in found, `"${written}" was found before its module is compiled.`);
    const { item } = found;
    if (item.kind === 'file') return localFile(item);
    const entries = [...item.items].map(([path, file]) => ({ path, file: file && localFile(file) }));
    return { kind: 'folder', entries };
  }

  file(written: string): LocalFile {
    const content = this.content(written);
    assert(content.kind === 'file', `"${written}" is a file.`);
    return content;
  }

  folder(written: string): LocalFolder {
    const content = this.content(written);
    assert(content.kind === 'folder', `"${written}" is a folder.`);
    return content;
  }
}

function localFile({ sha256, sizeBytes, mode }: LocalFileItem): LocalFile {
  return { kind: 'file', url: blobUrl(sha256), sizeBytes, mode };
}

/** The name of a file of the registry that has none of its own. */
export function fileNameOf(path: string): string {
  return path.replace(/\/+$/, '').split('/').at(-1) ?? '';
}
