import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { zeros } from '../../common/nbd/run.ts';
import { type DiskEncoding, RAW, readSparse, SPARSE } from '../../common/nbd/sparse-stream.ts';
import { streamRaw } from './stream-raw.ts';

/** Holes in the middle and at the end. */
const CONTENT = Buffer.concat([
  randomBytes(3 << 20),
  Buffer.alloc(5 << 20),
  randomBytes(1 << 20),
  Buffer.alloc(4 << 20),
]);
const SIZE = CONTENT.length;

let folder: string;
let disk: { path: string; sizeBytes: number };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-stream-'));
  const raw = join(folder, 'raw');
  disk = { path: join(folder, 'disk,with a comma.qcow2'), sizeBytes: SIZE };
  await writeFile(raw, CONTENT);
  await promisify(execFile)('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, disk.path]);
});

afterAll(() => rm(folder, { recursive: true }));

async function read(start: number, end: number, encoding: DiskEncoding): Promise<Buffer> {
  const to = new PassThrough();
  const bytes = buffer(to);
  await streamRaw(disk, to, { start, end, encoding, signal: new AbortController().signal });
  to.end();
  return await bytes;
}

test.each([
  ['all', 0, SIZE - 1],
  ['the first byte', 0, 0],
  ['the last byte', SIZE - 1, SIZE - 1],
  ['not from the beginning of a sector, into a hole', (2 << 20) + 13, (6 << 20) + 1],
  ['from within a hole, to the end', (4 << 20) + 511, SIZE - 1],
  ['a hole only', (4 << 20) + 1, (5 << 20) + 1],
])('a part of a disk is the raw content there, with its zeros or without: %s', async (_, start, end) => {
  const raw = await read(start, end, RAW);
  expect(raw.equals(CONTENT.subarray(start, end + 1))).toBe(true);
  const sparse = await read(start, end, SPARSE);
  const { sizeBytes, runs } = await readSparse(Readable.from([sparse]), start);
  const pieces: Buffer[] = [];
  for await (const { length, bytes } of runs) pieces.push(...(bytes ? [bytes] : zeros(length)));
  expect([sizeBytes, Buffer.concat(pieces).equals(raw)]).toEqual([SIZE, true]);
  // The holes take no room.
  expect(sparse.length).toBeLessThanOrEqual(Math.min(raw.length, 4 << 20) + 2 * 64 * 1024 + 100);
});

test('a reader that goes away ends it', async () => {
  const to = new PassThrough();
  const gone = new AbortController();
  const streamed = streamRaw(disk, to, { start: 0, end: SIZE - 1, encoding: RAW, signal: gone.signal });
  to.once('readable', () => gone.abort(new Error('gone')));
  await expect(streamed).rejects.toThrow();
});
