import type { FileHandle } from 'node:fs/promises';
import type { Run } from '../../common/nbd/run.ts';

/**
 * What is written at once: connections hand on pieces of 64 KiB, too small to call the system for each. What is much larger has
 * left the cache of the processor before it is copied.
 */
const WRITE_BYTES = 256 * 1024;

/** What is written before it is flushed. */
const FLUSH_BYTES = 32 * 1024 ** 2;

/**
 * Writes a file in order and in large pieces, and brings it to its disk, each while more arrives: so the end need not wait for
 * all of it. The size of the file is what is written of it. After a failure nothing more is written: it would lie behind a gap.
 */
export class WriteBehind {
  readonly #file: Pick<FileHandle, 'writev' | 'truncate' | 'datasync'>;
  /** Not written yet: from `#from` on. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #from = 0;
  #written: Promise<unknown> = Promise.resolve();
  #flushed: Promise<unknown> = Promise.resolve();
  #isFlushing = false;
  #unflushedBytes = 0;

  constructor(file: Pick<FileHandle, 'writev' | 'truncate' | 'datasync'>) {
    this.#file = file;
  }

  /** Takes what follows; resolves when more may follow. Rejects when a write before it has failed. */
  async write({ bytes, length }: Run, at: number): Promise<void> {
    if (bytes === null) {
      await this.#writeWaiting();
      this.#begin(() => this.#file.truncate(at + length));
      return;
    }
    if (this.#waiting.length === 0) this.#from = at;
    this.#waiting.push(bytes);
    this.#waitingBytes += length;
    if (this.#waitingBytes >= WRITE_BYTES) await this.#writeWaiting();
  }

  /** Resolves when all of it is on the disk. Rejects when any write or flush failed: the disk reports an error once. */
  async end(): Promise<void> {
    await this.#writeWaiting();
    await this.#written;
    await this.#flushed;
    await this.#file.datasync();
  }

  /** Resolves when nothing uses the file any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#written, this.#flushed]);
  }

  async #writeWaiting(): Promise<void> {
    await this.#written;
    if (this.#waiting.length === 0) return;
    const [pieces, bytes, from] = [this.#waiting, this.#waitingBytes, this.#from];
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#begin(async () => {
      const { bytesWritten } = await this.#file.writev(pieces, from);
      // A disk takes what it has room for; only the next write reports that it is full.
      if (bytesWritten < bytes)
        await this.#file.writev([Buffer.concat(pieces).subarray(bytesWritten)], from + bytesWritten);
      this.#flush(bytes);
    });
  }

  /** Stays rejected when it fails. */
  #begin(writing: () => Promise<unknown>): void {
    this.#written = this.#written.then(writing);
    this.#written.catch(() => {});
  }

  #flush(bytes: number): void {
    this.#unflushedBytes += bytes;
    if (this.#isFlushing || this.#unflushedBytes < FLUSH_BYTES) return;
    this.#unflushedBytes = 0;
    this.#isFlushing = true;
    this.#flushed = this.#flushed
      .then(() => this.#file.datasync())
      .finally(() => {
        this.#isFlushing = false;
      });
    this.#flushed.catch(() => {});
  }
}
