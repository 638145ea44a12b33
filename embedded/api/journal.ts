import { type FileHandle, mkdir, open, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { writeAtomically } from './write-atomically.ts';

/** One change of the store; `resourceVersion` rises from record to record. */
export interface JournalRecord {
  readonly resourceVersion: number;
  /** `Kind/namespace/name` */
  readonly id: string;
  /** Absent when the object was removed. */
  readonly object?: unknown;
}

/** Everything that the store holds, at one resourceVersion. */
export interface StoreSnapshot {
  readonly resourceVersion: number;
  readonly objects: readonly { readonly id: string; readonly object: unknown }[];
}

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
  readonly snapshot: () => StoreSnapshot;
}

/** The journal is folded into the snapshot when it has grown beyond this many bytes and beyond twice the snapshot. */
const COMPACTION_BYTES = 4 * 1024 * 1024;

/**
 * The store on disk: `snapshot.json` plus an append-only `journal.jsonl` of what changed since. Appends that arrive
 * while one is being synced share the next sync. A crash may leave a torn last line, which is cut off when the journal
 * is opened: its write was never acknowledged. A crash between the two steps of a compaction leaves records
 * that the snapshot already holds; they are recognised by their resourceVersion, and skipped.
 */
export class Journal {
  readonly #directory: string;
  readonly #snapshot: () => StoreSnapshot;
  #file: FileHandle;
  #bytes: number;
  #snapshotBytes = 0;
  #waiting: Waiter[] = [];
  #writing: Promise<void> | undefined;
  #failure: unknown;

  private constructor({ directory, file, bytes, snapshot }: JournalParts) {
    this.#directory = directory;
    this.#file = file;
    this.#bytes = bytes;
    this.#snapshot = snapshot;
  }

  /**
   * Opens the journal in a directory and hands every record to `replay`, oldest first: those of the snapshot as folded.
   * `snapshot` is asked for the whole content when the journal is compacted.
   */
  static async open(
    directory: string,
    replay: (record: JournalRecord, isFolded: boolean) => void,
    snapshot: () => StoreSnapshot,
  ): Promise<Journal> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const base = await readSnapshot(join(directory, 'snapshot.json'));
    for (const { id, object } of base.objects) replay({ resourceVersion: base.resourceVersion, id, object }, true);
    const path = join(directory, 'journal.jsonl');
    const bytes = await replayJournal(path, (record) => {
      if (record.resourceVersion > base.resourceVersion) replay(record, false);
    });
    return new Journal({ directory, file: await open(path, 'a', 0o600), bytes, snapshot });
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

  /** Waits for pending writes and closes the file. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#failure) throw this.#failure;
        const text = group.map((waiter) => waiter.line).join('');
        await this.#file.appendFile(text);
        await this.#file.datasync();
        this.#bytes += Buffer.byteLength(text);
        if (this.#bytes > Math.max(COMPACTION_BYTES, 2 * this.#snapshotBytes)) await this.#compact();
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

  async #compact(): Promise<void> {
    const text = JSON.stringify(this.#snapshot());
    await writeAtomically(join(this.#directory, 'snapshot.json'), text);
    const path = join(this.#directory, 'journal.jsonl');
    await writeAtomically(path, '');
    await this.#file.close();
    this.#file = await open(path, 'a', 0o600);
    this.#bytes = 0;
    this.#snapshotBytes = Buffer.byteLength(text);
  }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function readSnapshot(path: string): Promise<StoreSnapshot> {
  const text = await readIfPresent(path);
  return text === undefined ? { resourceVersion: 0, objects: [] } : (JSON.parse(text) as StoreSnapshot);
}

/** Replays whole lines, cuts a torn last one off, and returns the size of what remains in bytes. */
async function replayJournal(path: string, replay: (record: JournalRecord) => void): Promise<number> {
  const text = (await readIfPresent(path)) ?? '';
  const end = text.lastIndexOf('\n') + 1;
  const whole = text.slice(0, end);
  const bytes = Buffer.byteLength(whole);
  if (end < text.length) await truncate(path, bytes);
  const lines = whole.split('\n');
  lines.pop();
  for (const [index, line] of lines.entries()) {
    try {
      replay(JSON.parse(line) as JournalRecord);
    } catch (cause) {
      throw new FarmError('BrokenInvariant', `Line ${index + 1} of the store's journal "${path}" cannot be read.`, {
        cause,
      });
    }
  }
  return bytes;
}
