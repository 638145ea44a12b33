import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { type CommandResult, startFarm, type TestFarm } from '../harness/farm.ts';
import type { BuiltCase } from './built-cases.ts';
import { type ImageShop, openImageShop } from './image-shop.ts';

const CASE_MS = 2_400_000;

/** One farm builds all of them, as many at once as it has slots. */
export function buildAll(cases: readonly BuiltCase[]): void {
  const resources = new ReleaseStack();
  let farm: TestFarm;
  let shop: ImageShop;

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-cases-'));
    resources.defer('images', () => rmSync(folder, { recursive: true }));
    shop = await openImageShop(folder, resources);
    farm = await startFarm({ flags: ['--vms', '2', '--failure-retention', '0'] });
    resources.defer('farm', () => farm.purge());
    for (const name of ['fieldpw', 'registry']) await farm.client.setSecret(name, 'hunter-field-secret');
  }, 600_000);

  afterAll(() => resources.close(), 120_000);

  const rows = cases.map((row) => [row.kind, row.file, row] as const);

  test.concurrent.each(rows)('%s: %s', { timeout: CASE_MS }, async (_kind, file, row) => {
    const { outcome, shows = [], hides, image = 'tiny', besides = [] } = row;
    const paths = [file, ...besides].map(pathOf);
    const text = paths.map((path) => readFileSync(path, 'utf8')).join('\n');
    const known = { BASE: shop.base, HOST: shop.host, IMAGE_URL: `${shop.base}/${image}.qcow2` };
    const variables = Object.entries(known).flatMap(([name, value]) =>
      text.includes(`\${var.${name}}`) ? ['--var', `${name}=${value}`] : [],
    );
    const result = await farm.slipway('build', ...paths, '--json', ...variables);
    const shown = outcome === 'refused' ? refusal(result) : linesOf(result, outcome);
    for (const pattern of shows)
      expect(
        shown.filter((line) => pattern.test(line)),
        `${pattern} in\n${shown.join('\n')}`,
      ).not.toEqual([]);
    if (hides) expect(`${result.stdout}${result.stderr}`).not.toMatch(hides);
  });
}

function pathOf(file: string): string {
  return packagePath(...(file.includes('/') ? [] : ['test', 'cases', 'built']), `${file}.yaml`);
}

function refusal({ exitCode, stdout, stderr }: CommandResult): readonly string[] {
  expect(exitCode, stderr).toBe(1);
  return `${stdout}${stderr}`.split('\n');
}

/** The output of the steps of a build, and the failure of a module; checks that it ended with `outcome`. */
function linesOf({ stdout, stderr }: CommandResult, outcome: string): readonly string[] {
  const printed = stdout.split('\n').filter((line) => line !== '');
  const events = printed.map((line) => JSON.parse(line) as StoredEvent);
  const last = events.at(-1);
  const modules = last?.event === 'build-finished' ? last.modules : [];
  const failure = modules.find((module) => module.failure)?.failure;
  const lines = events.flatMap((event) => (event.event === 'log' && event.source !== 'serial' ? [event.line] : []));
  const end = { outcome: last?.event === 'build-finished' ? last.outcome : stderr, reason: failure?.reason };
  const isFailure = outcome !== 'succeeded';
  expect(end, printed.slice(-40).join('\n')).toEqual({
    outcome: isFailure ? 'failed' : outcome,
    reason: isFailure ? outcome : undefined,
  });
  return [...lines, failure?.message ?? '', ...(failure?.logTail ?? [])];
}
