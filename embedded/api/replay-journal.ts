import { readFile, truncate } from 'node:fs/promises';
import { hasErrorCode } from '../../common/errors/error-code.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

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

export async function readSnapshot(path: string): Promise<StoreSnapshot> {
  const text = await readIfPresent(path);
  return text === undefined ? { resourceVersion: 0, objects: [] } : (JSON.parse(text) as StoreSnapshot);
}

/** Replays whole lines, cuts a torn last one off, and returns the size of what remains in bytes. */
export async function replayJournal(path: string, replay: (record: JournalRecord) => void): Promise<number> {
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

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
