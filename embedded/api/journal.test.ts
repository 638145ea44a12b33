import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Journal, type JournalRecord } from './journal.ts';

const nothing = () => ({ resourceVersion: 0, objects: [] });

async function replayed(directory: string): Promise<JournalRecord[]> {
  const records: JournalRecord[] = [];
  const journal = await Journal.open(directory, (record) => records.push(record), nothing);
  await journal.close();
  return records;
}

test('replays every whole record, wherever a crash cut the file', async () => {
  const contents = fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(contents, fc.nat(), async (texts, at) => {
      const directory = await mkdtemp(join(tmpdir(), 'slipway-journal-'));
      const file = join(directory, 'journal.jsonl');
      const journal = await Journal.open(directory, () => {}, nothing);
      const records = texts.map((text, index) => ({ resourceVersion: index + 1, id: `K//${index}`, object: { text } }));
      await Promise.all(records.map((record) => journal.append(record)));
      await journal.close();
      const bytes = await readFile(file);
      const cut = bytes.subarray(0, at % (bytes.length + 1));
      await writeFile(file, cut);
      const whole = cut.filter((byte) => byte === 10).length;
      expect(await replayed(directory)).toEqual(records.slice(0, whole));
      const again = await Journal.open(directory, () => {}, nothing);
      await again.append({ resourceVersion: 99, id: 'K//after' });
      await again.close();
      expect((await replayed(directory)).at(-1)).toEqual({ resourceVersion: 99, id: 'K//after' });
      await rm(directory, { recursive: true });
    }),
    { numRuns: 60, seed: 20 },
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
