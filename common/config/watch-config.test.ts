import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../clock/clock.ts';
import { createLogger } from '../logging/logger.ts';
import { watchConfig } from './watch-config.ts';

const faults = vi.hoisted(() => ({ code: '' }));
vi.mock('node:fs', async (load) => {
  const fs = await load<typeof import('node:fs')>();
  const watch = (...args: Parameters<typeof fs.watch>) => {
    if (faults.code !== '') throw Object.assign(new Error(faults.code), { code: faults.code });
    return fs.watch(...args);
  };
  return { ...fs, watch };
});

/** Follows a configuration; `names` are those of its clusters, each time that it is taken. */
function follow(text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-watch-'));
  const file = join(folder, 'farm.yaml');
  writeFileSync(file, text);
  vi.stubEnv('SLIPWAY_CONFIG', file);
  const stopping = new AbortController();
  const names: string[] = [];
  const parts = { clock: systemClock, logger: createLogger({ name: 'test', level: 'silent' }) };
  const take = async ({ clusters }: { readonly clusters: readonly { readonly name: string }[] }) =>
    void names.push(clusters.map(({ name }) => name).join());
  const ended = watchConfig(parts, take, stopping.signal);
  onTestFinished(async () => {
    stopping.abort();
    await ended;
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  return { file, names };
}

test('takes the content of the file when it has settled, unless it is invalid', { timeout: 20_000 }, async () => {
  faults.code = '';
  const { file, names } = follow('clusters: [{name: a}]');
  await expect.poll(() => names, { timeout: 10_000 }).toEqual(['a']);
  // As it is written piece by piece.
  writeFileSync(file, 'clusters: []');
  writeFileSync(file, 'clusters: [{name: Not A Label}]');
  writeFileSync(file, 'clusters: [{name: a}, {name: b}]');
  await expect.poll(() => names, { timeout: 10_000 }).toEqual(['a', 'a,b']);
});

test('looks at the file also where the machine has no watch left', { timeout: 20_000 }, async () => {
  faults.code = 'EMFILE';
  const { names } = follow('clusters: [{name: a}]');
  await expect.poll(() => names, { timeout: 10_000 }).toEqual(['a']);
});
