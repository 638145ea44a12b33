import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { WriteBehind } from './write-behind.ts';

test('pieces and zeros are written where they belong, and few at once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-write-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'file');
  const file = await open(path, 'w');
  const lengths: number[] = [];
  const writing = new WriteBehind({
    writev: (pieces, at) => {
      lengths.push(pieces.length);
      return file.writev(pieces, at);
    },
    truncate: (size) => file.truncate(size),
    datasync: () => file.datasync(),
  });
  const pieces = [
    ...Array.from({ length: 40 }, (_, index) => Buffer.alloc(64 * 1024, index + 1)),
    null,
    Buffer.alloc(100, 'a'),
    null,
  ];
  let at = 0;
  const expected: Buffer[] = [];
  for (const bytes of pieces) {
    const length = bytes?.length ?? 5_000;
    await writing.write({ bytes, length }, at);
    expected.push(bytes ?? Buffer.alloc(length));
    at += length;
  }
  await writing.end();
  await file.close();
  expect((await readFile(path)).equals(Buffer.concat(expected))).toBe(true);
  expect(lengths).toEqual([...Array(10).fill(4), 1]);
});

test('a disk that is full after half of a write is full', async () => {
  const full = new Error('ENOSPC');
  const writing = new WriteBehind({
    writev: async (buffers, at) => {
      if (at !== 0) throw full;
      return { bytesWritten: 1_000, buffers: [...buffers] };
    },
    truncate: async () => {},
    datasync: async () => {},
  });
  await writing.write({ bytes: Buffer.alloc(2_000), length: 2_000 }, 0);
  await expect(writing.end()).rejects.toBe(full);
});

test('nothing is written behind a write that failed', async () => {
  const written: (number | null | undefined)[] = [];
  const full = new Error('ENOSPC');
  const writing = new WriteBehind({
    writev: async (_, at) => {
      written.push(at);
      throw full;
    },
    truncate: async (size) => void written.push(size),
    datasync: async () => {},
  });
  const bytes = Buffer.alloc(1024 ** 2);
  await writing.write({ bytes, length: bytes.length }, 0);
  await expect(writing.write({ bytes, length: bytes.length }, bytes.length)).rejects.toBe(full);
  await expect(writing.write({ bytes: null, length: 10 }, 2 * bytes.length)).rejects.toBe(full);
  await expect(writing.end()).rejects.toBe(full);
  await writing.settled();
  expect(written).toEqual([0]);
});
