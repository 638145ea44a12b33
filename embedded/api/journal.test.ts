import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { openTemporaryDisk, type SmallDisk } from '../../test/harness/small-disk.ts';
import { Journal } from './journal.ts';
import type { JournalRecord } from './replay-journal.ts';

const MIB = 1024 ** 2;
const BIG = { text: 'x'.repeat(MIB) };
const nothing = () => ({ resourceVersion: 0, objects: [] });

async function openJournal(directory: string, replay: (record: JournalRecord) => void = () => {}): Promise<Journal> {
  return await Journal.open({ directory, clock: systemClock, restore: replay, replay, snapshot: nothing });
}

async function replayed(directory: string): Promise<JournalRecord[]> {
  const records: JournalRecord[] = [];
  const journal = await openJournal(directory, (record) => records.push(record));
  await journal.close();
  return records;
}

test('replays every whole record, wherever a crash cut the file', async () => {
  const contents = fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(contents, fc.nat(), async (texts, at) => {
      const directory = await mkdtemp(join(tmpdir(), 'slipway-journal-'));
      const file = join(directory, 'journal.jsonl');
      const journal = await openJournal(directory);
      const records = texts.map((text, index) => ({ resourceVersion: index + 1, id: `K//${index}`, object: { text } }));
      await Promise.all(records.map((record) => journal.append(record)));
      await journal.close();
      const bytes = await readFile(file);
      const cut = bytes.subarray(0, at % (bytes.length + 1));
      await writeFile(file, cut);
      const whole = cut.filter((byte) => byte === 10).length;
      expect(await replayed(directory)).toEqual(records.slice(0, whole));
      const again = await openJournal(directory);
      await again.append({ resourceVersion: 99, id: 'K//after' });
      await again.close();
      expect((await replayed(directory)).at(-1)).toEqual({ resourceVersion: 99, id: 'K//after' });
      await rm(directory, { recursive: true });
    }),
    { numRuns: 30, seed: 20 },
  );
});

test('skips records that the snapshot already holds', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'slipway-journal-'));
  await writeFile(
    join(directory, 'snapshot.json'),
    JSON.stringify({ resourceVersion: 5, objects: [{ id: 'K//a', object: { now: true } }] }),
  );
  const lines = [
    { resourceVersion: 5, id: 'K//a', object: { now: false } },
    { resourceVersion: 6, id: 'K//b', object: {} },
  ];
  await writeFile(join(directory, 'journal.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  expect(await replayed(directory)).toEqual([
    { resourceVersion: 5, id: 'K//a', object: { now: true } },
    { resourceVersion: 6, id: 'K//b', object: {} },
  ]);
  await rm(directory, { recursive: true });
});

test('refuses to continue from a journal that is damaged in the middle', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'slipway-journal-'));
  await writeFile(
    join(directory, 'journal.jsonl'),
    '{"resourceVersion":1,"id":"K//a"}\ngarbage\n{"resourceVersion":2,"id":"K//b"}\n',
  );
  await expect(replayed(directory)).rejects.toThrow('Line 2 of the store');
  await rm(directory, { recursive: true });
});

describe('on a disk that is full', () => {
  let disk: SmallDisk;
  let journal: Journal;
  /** What a store would hold. */
  let written: JournalRecord[];

  const open = async () => {
    const snapshot = () => ({
      resourceVersion: written.length,
      objects: written.map(({ id }) => ({ id, object: BIG })),
    });
    return await Journal.open({
      directory: disk.path,
      clock: systemClock,
      restore: () => {},
      replay: () => {},
      snapshot,
    });
  };

  const append = async () => {
    const record = { resourceVersion: written.length + 1, id: `K//${written.length + 1}`, object: BIG };
    written.push(record);
    await journal.append(record);
  };

  beforeEach(async () => {
    disk = openTemporaryDisk(24 * MIB);
    written = [];
    journal = await open();
  });

  afterEach(async () => {
    await journal.close();
    disk.close();
  });

  const idsOnDisk = async () => (await replayed(disk.path)).map(({ id }) => id);
  const ids = () => written.map(({ id }) => id);

  test('writes continue in the reserve, and it is filled up when there is room', async () => {
    disk.leave(0);
    expect(journal.room).toBe('ample');
    for (let count = 0; count < 6; count += 1) await append();
    expect(journal.room).toBe('low');
    journal.assertWritable();
    disk.leave(undefined);
    await expect.poll(() => journal.room).toBe('ample');
    await journal.close();
    expect(await idsOnDisk()).toEqual(ids());
    journal = await open();
  });

  test('a write beyond the reserve waits until there is room, and nothing is lost or torn', async () => {
    disk.leave(0);
    const appended = Promise.all(Array.from({ length: 12 }, append));
    await expect.poll(() => journal.room).toBe('full');
    expect(() => journal.assertWritable()).toThrow('No space is left on the disk');
    disk.leave(undefined);
    await appended;
    journal.assertWritable();
    await append();
    await journal.close();
    expect(await idsOnDisk()).toEqual(ids());
    journal = await open();
  });

  test('closing does not wait for room, and refuses the writes that waited', async () => {
    disk.leave(0);
    const appended = Promise.allSettled(Array.from({ length: 12 }, append));
    await expect.poll(() => journal.room).toBe('full');
    await journal.close();
    const reason = expect.objectContaining({ message: 'The journal of the embedded cluster cannot be written.' });
    expect((await appended).at(-1)).toEqual({ status: 'rejected', reason });
    disk.leave(undefined);
    journal = await open();
    await append();
    expect(await idsOnDisk()).toContain('K//13');
  });

  test('a compaction that finds no room leaves nothing behind, and is done later', async () => {
    disk.leave(2 * MIB);
    for (let count = 0; count < 5; count += 1) await append();
    expect(await readdir(disk.path)).toEqual(['journal.jsonl']);
    disk.leave(undefined);
    await append();
    expect((await readdir(disk.path)).sort()).toEqual(['journal.jsonl', 'snapshot.json']);
    expect(await idsOnDisk()).toEqual(ids());
  });
});
