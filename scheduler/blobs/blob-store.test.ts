import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { BlobStore } from './blob-store.ts';

test('an upload that continues one that still runs needs room for the bytes of both', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'slipway-store-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const store = await BlobStore.open({ directory, maxBytes: 100, totalBytes: 150, clock: systemClock });
  const content = Buffer.alloc(100, 'x');
  const sha256 = hash('sha256', content);
  const rest = new AbortController();
  async function* slow() {
    yield content.subarray(0, 80);
    await once(rest.signal, 'abort');
    yield content.subarray(80);
  }
  const first = store.take(sha256, { offset: 0, sizeBytes: 100, content: slow() });
  await expect.poll(() => store.received(sha256)).toBe(80);
  async function* end() {
    yield content.subarray(80);
  }
  const second = store.take(sha256, { offset: 80, sizeBytes: 100, content: end() });
  await expect(second).rejects.toMatchObject({ code: 'BlobsFull' });
  expect(await readdir(join(directory, 'parts'))).toHaveLength(1);
  rest.abort();
  expect(await first).toEqual({ sha256, sizeBytes: 100 });
});
