import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { BUILT_CASES } from './built-cases.ts';
import { type ImageShop, openImageShop } from './image-shop.ts';

const CASE_MS = 900_000;
const resources = new ReleaseStack();
let farm: TestFarm;
let shop: ImageShop;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-cases-'));
  resources.defer('images', () => rmSync(folder, { recursive: true }));
  shop = await openImageShop(folder, resources);
  farm = await startFarm({ flags: ['--vms', '2', '--failure-retention', '0'] });
  resources.defer('farm', () => farm.purge());
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'hunter-field-secret');
  const set = await farm.slipway('secret', 'set', 'fieldpw', '--from-file', secret);
  expect(set).toMatchObject({ exitCode: 0 });
}, 600_000);

afterAll(() => resources.close(), 120_000);

const ROWS = BUILT_CASES.map((row) => [row.kind, row.file, row] as const);

test.concurrent.each(ROWS)('%s: %s', { timeout: CASE_MS }, async (_kind, file, { outcome, says = [], hides }) => {
  const path = packagePath('test', 'cases', 'built', `${file}.yaml`);
  const variables = ['--var', `BASE=${shop.base}`, '--var', `HOST=${shop.host}`];
  const { exitCode, stdout, stderr } = await farm.slipway('build', path, '--json', ...variables);
  const events =
    outcome === 'refused'
      ? []
      : stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as StoredEvent);
  const last = events.at(-1);
  const modules = last?.event === 'build-finished' ? last.modules : [];
  const failure = modules.find((module) => module.failure)?.failure;
  const lines = events.flatMap((event) => (event.event === 'log' && event.source !== 'serial' ? [event.line] : []));
  const told =
    outcome === 'refused' ? stderr.split('\n') : [...lines, failure?.message ?? '', ...(failure?.logTail ?? [])];
  if (outcome === 'refused') expect(exitCode, stdout).toBe(1);
  else
    expect(failure?.reason ?? last, stderr).toEqual(
      outcome === 'succeeded' ? expect.objectContaining({ outcome }) : outcome,
    );
  for (const pattern of says)
    expect(
      told.filter((line) => pattern.test(line)),
      `${pattern} in\n${told.join('\n')}`,
    ).not.toEqual([]);
  if (hides) expect(`${stdout}${stderr}`).not.toMatch(hides);
});
