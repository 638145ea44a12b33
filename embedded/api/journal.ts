import { constants } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import { hasErrorCode } from '../../common/errors/error-code.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { JournalReserve } from './journal-reserve.ts';
import { type JournalRecord, readSnapshot, replayJournal, type StoreSnapshot } from './replay-journal.ts';
import { writeAtomically } from './write-atomically.ts';

interface Waiter {
  readonly line: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface JournalParts {
  readonly directory: string;
  readonly file: FileHandle;
  /** Size of the journal file. */
  readonly bytes: number;
  readonly clock: Clock;
  readonly snapshot: () => StoreSnapshot;
}

/** Dependencies of a journal. */
export interface JournalOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** Is handed the objects of the snapshot. */
  readonly restore: (record: JournalRecord) => void;
  /** Is handed the changes since, oldest first. */
  readonly replay: (record: JournalRecord) => void;
  /** The whole content, for compaction. */
  readonly snapshot: () => StoreSnapshot;
}

/**
 * The disk under a journal: `low` when its reserve cannot be filled up, so that nothing should be added, only changed and
 * removed; `full` when nothing can be written.
 */
export type DiskRoom = 'ample' | 'low' | 'full';

/** The journal is folded into the snapshot when it has grown beyond this many bytes and beyond twice the snapshot. */
const COMPACTION_BYTES = 4 * 1024 * 1024;
/** A compaction that found no room is tried again when the journal has grown by this. */
const COMPACTION_RETRY_BYTES = 1024 * 1024;
/** A full disk is tried again after this pause: the kernel does not announce that there is room. */
const FULL_DISK_PAUSE_MS = 500;

/**
 * The store on disk: `snapshot.json` plus `journal.jsonl`, the changes since, to which lines are added. Appends that arrive
 * while one is being synced share the next sync. A crash may leave a torn last line, which is cut off when the journal
 * is opened: its write was never acknowledged. A crash between the two steps of a compaction leaves records
 * that the snapshot already holds; they are recognised by their resourceVersion, and skipped. On a full disk an append waits
 * until there is room; other faults of the disk end the journal.
 */
export class Journal {
  readonly #directory: string;
  readonly #snapshot: () => StoreSnapshot;
  readonly #clock: Clock;
  readonly #file: FileHandle;
  readonly #reserve: JournalReserve;
  readonly #closing = new AbortController();
  #bytes: number;
  #compactAt = COMPACTION_BYTES;
  #waiting: Waiter[] = [];
  #writing: Promise<void> | undefined;
  #refilling: Promise<void> | undefined;
  #isFull = false;
  #failure: unknown;

  private constructor({ directory, file, bytes, clock, snapshot }: JournalParts) {
    this.#directory = directory;
    this.#file = file;
    this.#bytes = bytes;
    this.#clock = clock;
    this.#snapshot = snapshot;
    this.#reserve = new JournalReserve(journalPath(directory));
  }

  /** Opens the journal in a directory, replays it, and sets its reserve aside. */
  static async open({ directory, clock, restore, replay, snapshot }: JournalOptions): Promise<Journal> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const base = await readSnapshot(join(directory, 'snapshot.json'));
    for (const { id, object } of base.objects) restore({ resourceVersion: base.resourceVersion, id, object });
    const path = journalPath(directory);
    const bytes = await replayJournal(path, (record) => {
      if (record.resourceVersion > base.resourceVersion) replay(record);
    });
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const journal = new Journal({ directory, file, bytes, clock, snapshot });
    await journal.#fillUp();
    return journal;
  }

  get room(): DiskRoom {
    if (this.#isFull) return 'full';
    return this.#reserve.isShort ? 'low' : 'ample';
  }

  /** @throws FarmError when an append would fail, or would wait for room on the disk */
  assertWritable(): void {
    if (this.#failure) throw this.#failure;
    if (this.#isFull) throw new FarmError('BrokenInvariant', `No space is left on the disk of "${this.#directory}".`);
  }

  /** Resolves when the record is on disk. */
  append(record: JournalRecord): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: `${JSON.stringify(record)}\n`, resolve, reject });
      this.#writing ??= this.#writeAll().finally(() => {
        this.#writing = undefined;
      });
    });
  }

  /** Waits for pending writes, unless the disk is full, and closes the file. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#writing;
    await this.#refilling;
    await this.#file.close();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#failure) throw this.#failure;
        await this.#write(Buffer.from(group.map((waiter) => waiter.line).join('')));
        for (const waiter of group) waiter.resolve();
      } catch (cause) {
        this.#failure ??= new FarmError('BrokenInvariant', 'The journal of the embedded cluster cannot be written.', {
          cause,
          details: { directory: this.#directory },
        });
        for (const waiter of group) waiter.reject(this.#failure);
      }
    }
  }

  /** A part that was written before the disk was full is written again at its place. */
  async #write(lines: Buffer): Promise<void> {
    for (;;) {
      try {
        await writeWhole(this.#file, lines, this.#bytes);
        await this.#file.datasync();
        break;
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        this.#isFull = true;
        await this.#clock.after(FULL_DISK_PAUSE_MS, this.#closing.signal);
      }
    }
    this.#isFull = false;
    this.#bytes += lines.length;
    if (this.#bytes > this.#compactAt) await this.#compact();
    await this.#fillUp();
  }

  async #fillUp(): Promise<void> {
    if (this.#refilling) return;
    await this.#reserve.fillUp(this.#bytes);
    if (this.#reserve.isShort) this.#refilling = this.#refillLater();
  }

  /** Does not wait for a write to try again: there may be none, because clients are refused meanwhile. */
  async #refillLater(): Promise<void> {
    const { signal } = this.#closing;
    while (this.#reserve.isShort && !signal.aborted) {
      await this.#clock.after(FULL_DISK_PAUSE_MS, signal).catch(() => {});
      if (!signal.aborted) await this.#reserve.fillUp(this.#bytes);
    }
    this.#refilling = undefined;
  }

  async #compact(): Promise<void> {
    const text = JSON.stringify(this.#snapshot());
    try {
      await writeAtomically(join(this.#directory, 'snapshot.json'), text);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#compactAt = this.#bytes + COMPACTION_RETRY_BYTES;
      return;
    }
    await this.#file.truncate(0);
    await this.#file.sync();
    this.#bytes = 0;
    this.#reserve.forget();
    this.#compactAt = Math.max(COMPACTION_BYTES, 2 * Buffer.byteLength(text));
  }
}

function journalPath(directory: string): string {
  return join(directory, 'journal.jsonl');
}

/** One call may write less than all, as it does when the disk gets full. */
async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

function isDiskFull(error: unknown): boolean {
  return hasErrorCode(error, 'ENOSPC', 'EDQUOT');
}
