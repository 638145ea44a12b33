import { createHash, randomBytes } from 'node:crypto';
import {
  constants,
  copyFile,
  type FileHandle,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  truncate,
  utimes,
} from 'node:fs/promises';
import { join } from 'node:path';
import { addFile } from '../../common/blobs/file-hash.ts';
import type { Clock } from '../../common/clock/clock.ts';
import type { BlobView } from '../../common/contracts/blobs.ts';
import { hasErrorCode } from '../../common/errors/error-code.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { exactSize } from '../../common/text/size-text.ts';
import { namesBefore, sizeOf, sumOf, syncFolder } from './folder-files.ts';

/** Where contents lie, and how much. */
export interface BlobStoreOptions {
  /** Shared by all schedulers of the farm. */
  readonly directory: string;
  /** Bound on one content. */
  readonly maxBytes: number;
  /** Bound on all of them together. */
  readonly totalBytes: number;
  readonly clock: Clock;
}

/** A content on its way. */
export interface Upload {
  /** Bytes that the farm already has, by the sender's account. */
  readonly offset: number;
  /** Of the whole content; null: not given by the sender. */
  readonly sizeBytes: number | null;
  readonly content: AsyncIterable<Buffer>;
}

/** Other schedulers write too; this old the sum may be. */
const USAGE_MS = 30_000;

/**
 * Contents by their SHA-256, as files of a directory.
 *
 *   whole/<sha256>            complete and verified; its modification time is that of its last use
 *   parts/<sha256>            what came of an upload that was cut off; the next one continues there
 *   parts/<sha256>.<random>   an upload that runs, one file each, so that two of the same content never meet
 */
export class BlobStore {
  readonly #options: BlobStoreOptions;
  readonly #whole: string;
  readonly #parts: string;
  #usage = { bytes: 0, at: Number.NEGATIVE_INFINITY };

  private constructor(options: BlobStoreOptions) {
    this.#options = options;
    this.#whole = join(options.directory, 'whole');
    this.#parts = join(options.directory, 'parts');
  }

  static async open(options: BlobStoreOptions): Promise<BlobStore> {
    const store = new BlobStore(options);
    await mkdir(store.#whole, { recursive: true, mode: 0o700 });
    await mkdir(store.#parts, { recursive: true, mode: 0o700 });
    return store;
  }

  /** The folder of whole contents; each is a file named by its hash. */
  get folder(): string {
    return this.#whole;
  }

  /** The content, if it is whole; it then counts as just used. */
  async use(sha256: string): Promise<BlobView | null> {
    const now = new Date(this.#options.clock.now());
    const path = join(this.#whole, sha256);
    try {
      await utimes(path, now, now);
      return { sha256, sizeBytes: (await stat(path)).size };
    } catch (error) {
      if (hasErrorCode(error, 'ENOENT')) return null;
      throw error;
    }
  }

  /**
   * How many bytes of a content that is not whole are here: of the longest upload, one that still runs included, because a
   * connection that was cut may take minutes to be noticed.
   */
  async received(sha256: string): Promise<number> {
    return (await this.#longestPart(sha256)).sizeBytes;
  }

  /**
   * Takes a content, from its start or from where an earlier upload ended. The bytes received before the sender disconnects are kept
   * for the next one. The caller has seen that it is not whole yet; two uploads of the same content both succeed.
   * @throws RequestTooLarge, BlobsFull, HashMismatch, UploadConflict; the error that ended `content`
   */
  async take(sha256: string, { offset, sizeBytes, content }: Upload): Promise<BlobView> {
    if (sizeBytes !== null) await this.#assertRoom(sizeBytes, sizeBytes - offset);
    const part = join(this.#parts, `${sha256}.${randomBytes(8).toString('hex')}`);
    if (offset > 0) await this.#claim(sha256, part, offset);
    const file = await open(part, 'a', 0o600);
    try {
      const { hash, received } = await this.#receive(file, { part, offset, content });
      if (sizeBytes !== null && received !== sizeBytes) {
        throw new FarmError('InvalidRequest', `The content has ${received} bytes, but ${sizeBytes} were announced.`);
      }
      if (hash !== sha256) {
        const message = `The uploaded content has the SHA-256 ${hash}, not ${sha256}.`;
        throw new FarmError('HashMismatch', message);
      }
      await file.datasync();
      await file.close();
      await rename(part, join(this.#whole, sha256));
      await syncFolder(this.#whole);
      return { sha256, sizeBytes: received };
    } catch (error) {
      await file.close().catch(() => undefined);
      // A refused upload cannot be resumed.
      if (error instanceof FarmError) await rm(part, { force: true });
      else await this.#rest(sha256, part);
      throw error;
    }
  }

  /** Removes whole contents, and remains of uploads, that were not used since a time, unless they are needed. */
  async sweep(before: number, needed: () => Promise<ReadonlySet<string>>): Promise<number> {
    const old = await namesBefore(this.#whole, before);
    const kept = old.length > 0 ? await needed() : new Set();
    let removed = 0;
    for (const name of old) if (!kept.has(name) && (await this.#removeUnused(name, before))) removed += 1;
    for (const name of await namesBefore(this.#parts, before)) await rm(join(this.#parts, name), { force: true });
    return removed;
  }

  /** A concurrent reader either finds it, or gets an error that it is gone. */
  async #removeUnused(sha256: string, before: number): Promise<boolean> {
    const [path, aside] = [join(this.#whole, sha256), join(this.#parts, `swept-${sha256}`)];
    await rename(path, aside);
    const isUsed = (await stat(aside)).mtimeMs >= before;
    if (isUsed) await rename(aside, path);
    else await rm(aside, { force: true });
    return !isUsed;
  }

  async #receive(
    file: FileHandle,
    { part, offset, content }: { readonly part: string; readonly offset: number; readonly content: Upload['content'] },
  ): Promise<{ hash: string; received: number }> {
    const hash = createHash('sha256');
    if (offset > 0) await addFile(hash, part);
    let received = offset;
    for await (const chunk of content) {
      received += chunk.length;
      await this.#assertRoom(received, chunk.length);
      hash.update(chunk);
      await file.writeFile(chunk);
      this.#usage.bytes += chunk.length;
    }
    return { hash: hash.digest('hex'), received };
  }

  async #assertRoom(sizeBytes: number, moreBytes: number): Promise<void> {
    const { maxBytes, totalBytes } = this.#options;
    if (sizeBytes > maxBytes) {
      const message = `The content has ${sizeBytes} bytes (${exactSize(sizeBytes)}); the farm takes ${maxBytes} (${exactSize(maxBytes)}, blobs.maxSize).`;
      throw new FarmError('RequestTooLarge', message);
    }
    const usedBytes = await this.#usedBytes();
    if (usedBytes + moreBytes <= totalBytes) return;
    const message = `The store of local files has ${exactSize(usedBytes)} of ${exactSize(totalBytes)} (blobs.totalSize): no room for ${exactSize(moreBytes)} more.`;
    throw new FarmError('BlobsFull', message);
  }

  async #usedBytes(): Promise<number> {
    const { clock } = this.#options;
    if (clock.now() - this.#usage.at > USAGE_MS) {
      this.#usage.at = clock.now();
      const sums = await Promise.all([this.#whole, this.#parts].map(sumOf));
      this.#usage.bytes = sums.reduce((sum, bytes) => sum + bytes, 0);
    }
    return this.#usage.bytes;
  }

  /** Makes the first `offset` bytes of the longest upload ours; one that still runs keeps its own file. @throws UploadConflict, BlobsFull */
  async #claim(sha256: string, part: string, offset: number): Promise<void> {
    const { path, sizeBytes } = await this.#longestPart(sha256);
    if (sizeBytes < offset) {
      const message = `The farm has ${sizeBytes} bytes of this content: continue at that offset, not at ${offset}.`;
      throw new FarmError('UploadConflict', message);
    }
    try {
      if (path === join(this.#parts, sha256)) await rename(path, part);
      else {
        // Both have these bytes until one of them ends.
        await this.#assertRoom(offset, sizeBytes);
        this.#usage.bytes += sizeBytes;
        await copyFile(path, part, constants.COPYFILE_FICLONE);
      }
    } catch (error) {
      if (!hasErrorCode(error, 'ENOENT')) throw error;
      throw new FarmError(
        'UploadConflict',
        'Another upload of this content has just ended: ask again for the offset to continue at.',
      );
    }
    await truncate(part, offset);
  }

  async #longestPart(sha256: string): Promise<{ path: string; sizeBytes: number }> {
    let longest = { path: '', sizeBytes: 0 };
    for (const name of await readdir(this.#parts)) {
      const path = join(this.#parts, name);
      const sizeBytes = name.startsWith(sha256) ? ((await sizeOf(path)) ?? 0) : 0;
      if (sizeBytes > longest.sizeBytes) longest = { path, sizeBytes };
    }
    return longest;
  }

  /** Keeps what came for the next upload, unless another one has brought the whole; the longest remains win. */
  async #rest(sha256: string, part: string): Promise<void> {
    const resting = join(this.#parts, sha256);
    const isWhole = (await sizeOf(join(this.#whole, sha256))) !== undefined;
    const [ours, theirs] = [(await sizeOf(part)) ?? 0, (await sizeOf(resting)) ?? 0];
    if (ours > theirs && !isWhole) await rename(part, resting);
    else await rm(part, { force: true });
  }
}
