import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { freeBytes } from '../host/file-facts.ts';

/** Space behind the end of the journal that is kept for it: some 4,000 changes, enough to delete what fills the disk. */
export const JOURNAL_RESERVE_BYTES = 8 * 1024 * 1024;

/** What is left of a reserve before it is filled up again. */
const LOW_BYTES = JOURNAL_RESERVE_BYTES / 2;

/**
 * Blocks of the disk behind the end of a file, which only writes to that file can take. Where the file system cannot set
 * blocks aside, there is no reserve, and the disk counts as full when a write fails.
 */
export class JournalReserve {
  readonly #path: string;
  /** The file has its blocks up to this place. */
  #end = 0;
  #isShort = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Whether the disk had no room to fill it up. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** Fills it up behind a file of so many bytes, when it is low. */
  async fillUp(fileBytes: number): Promise<void> {
    if (this.#end - fileBytes >= LOW_BYTES) return;
    const args = ['--keep-size', '--offset', String(fileBytes), '--length', String(JOURNAL_RESERVE_BYTES), this.#path];
    try {
      await promisify(execFile)('fallocate', args);
      this.#end = fileBytes + JOURNAL_RESERVE_BYTES;
      this.#isShort = false;
    } catch {
      this.#isShort = (await freeBytes(this.#path)) < JOURNAL_RESERVE_BYTES;
      if (!this.#isShort) this.#end = fileBytes + JOURNAL_RESERVE_BYTES;
    }
  }

  /** The file was emptied, and its blocks with it. */
  forget(): void {
    this.#end = 0;
  }
}
