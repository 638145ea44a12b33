import { appendFile, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test, vi } from 'vitest';
import { boundLog, LOG_PART } from '../host/bounded-log.ts';
import { readLog } from './pod-log.ts';

const LINE = `${'x'.repeat(1023)}\n`;

test('of a guest that does not stop talking the last part is kept, on the disk and for readers', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-log-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'serial.log');
  await appendFile(path, 'the first line\n');
  const troubles: unknown[] = [];
  onTestFinished(boundLog(path, (error) => troubles.push(error)));
  const read = () => {
    const options = { hasEnded: () => true, onEnd: () => {}, signal: new AbortController().signal };
    return text(readLog(path, { follow: false, onlyWholeLines: true, ...options }));
  };
  expect(await read()).toBe('the first line\n');
  for (let part = 0; part < 10; part += 1) await appendFile(path, LINE.repeat(LOG_PART / LINE.length));
  await appendFile(path, 'the last line\n');
  await expect.poll(async () => (await stat(path)).blocks * 512, { timeout: 10_000 }).toBeLessThan(2.5 * LOG_PART);
  expect((await stat(path)).size).toBeGreaterThan(10 * LOG_PART);
  const kept = await read();
  expect(kept.length).toBeLessThanOrEqual(2 * LOG_PART);
  expect(kept.length).toBeGreaterThan(LOG_PART);
  expect(kept).not.toContain('\0');
  expect(kept.endsWith('the last line\n')).toBe(true);
  expect(troubles).toEqual([]);
});

test('a log that cannot be bounded is reported once, until it can', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-log-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'serial.log');
  await appendFile(path, '');
  onTestFinished(() => void vi.unstubAllEnvs());
  // Where no fallocate is found, none can make a hole.
  vi.stubEnv('PATH', folder);
  const troubles: unknown[] = [];
  onTestFinished(boundLog(path, (error) => troubles.push(error)));
  for (let part = 0; part < 3; part += 1) await appendFile(path, LINE.repeat(LOG_PART / LINE.length));
  await expect.poll(() => troubles).toHaveLength(1);
  await appendFile(path, LINE.repeat(LOG_PART / LINE.length));
  vi.unstubAllEnvs();
  await appendFile(path, LINE);
  await expect.poll(async () => (await stat(path)).blocks * 512, { timeout: 10_000 }).toBeLessThan(2.5 * LOG_PART);
  expect(troubles).toHaveLength(1);
});
