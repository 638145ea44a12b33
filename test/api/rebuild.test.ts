import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { BuildOptions } from '../../cli/client/farm-client.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { readUsage, reportCluster } from '../../common/redis/slots.ts';
import { LAB, type LiveApi, MODULES, startApi, TOKEN } from './live-api.ts';

const DAY_MS = 86_400_000;
let api: LiveApi;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(() => api.reset());

afterAll(() => api.close());

const submission = (modules = MODULES) => ({ files: [{ path: 'lab.yaml', text: modules }], variables: {} });

/** Builds to the end, and reports what was to be done about each module. */
async function build(options: BuildOptions = {}, modules = MODULES): Promise<string[]> {
  const { plan } = await api.client.submit(submission(modules), options);
  await api.work();
  // The cluster shows none of the machines any more.
  const { slots } = await readUsage(api.redis, LAB.name);
  await reportCluster(api.redis, LAB.name, { leaving: slots, observed: [] });
  const rows = plan.modules.map(({ name, action, why }) => `${name}: ${action} (${lately(why)})`);
  return [...rows, ...plan.warnings];
}

function lately(line: string): string {
  return line.replaceAll(/built \d{4}-\d\d-\d\d \d\d:\d\d UTC/g, 'built lately');
}

/** Every image, whether it is current, and what it is based on. */
async function images(): Promise<string[]> {
  const rows = (await api.client.images.list()).map(({ module, version, current, basedOn }) => [
    `${module}:${version}${current ? '' : ' old'}`,
    ...basedOn.map((parent) => `on ${parent.module}:${parent.version}${parent.current ? '' : ' old'}`),
  ]);
  return rows.map((row) => row.join(' ')).sort();
}

test('a base that is rebuilt is another layer, and what is based on it follows unless it is left out', async () => {
  expect(await build()).toEqual(['base: build (not built before)', 'child: build (parent base is built)']);
  expect(await build({ rebuild: ['base'], only: ['base'] })).toEqual([
    'base: build (rebuilt by --rebuild)',
    'child:1 is not rebuilt and stays based on base:1, which this build replaces',
  ]);
  expect(await images()).toEqual(['base:1 old', 'base:2', 'child:1 on base:1 old']);
  expect(await build()).toEqual([
    'base: reuse (base:2, built lately)',
    'child: build (child:1 is based on another version of base)',
  ]);
  expect(await build({ rebuild: ['base'] })).toEqual([
    'base: build (rebuilt by --rebuild)',
    'child: build (parent base is rebuilt)',
  ]);
  expect(await images()).toEqual([
    'base:1 old',
    'base:2 old',
    'base:3',
    'child:1 old on base:1 old',
    'child:2 old on base:2 old',
    'child:3 on base:3',
  ]);
  expect(await build()).toEqual(['base: reuse (base:3, built lately)', 'child: reuse (child:3, built lately)']);
});

test('a rebuild that does not finish leaves what is there', async () => {
  await build();
  const { buildId } = await api.client.submit(submission(), { rebuild: ['base'] });
  await api.client.cancel(buildId);
  expect((await api.client.build(buildId)).modules.map(({ why }) => why)).toEqual([
    'rebuilt by --rebuild',
    'parent base is rebuilt',
  ]);
  expect(await build()).toEqual(['base: reuse (base:1, built lately)', 'child: reuse (child:1, built lately)']);
});

test('two requests for a rebuild at the same time share one, and a request after its start gets another', async () => {
  await build();
  const ask = async () => (await api.client.submit(submission(), { rebuild: ['base'] })).plan.modules;
  const keys = (modules: Awaited<ReturnType<typeof ask>>) => modules.map(({ layerKey }) => layerKey);
  const [first, second] = await Promise.all([ask(), ask()]);
  expect(keys(second)).toEqual(keys(first));
  expect([first, second].map(([base]) => base?.action).sort()).toEqual(['build', 'join']);
  await api.startReady();
  const third = await ask();
  expect(third.map(({ action }) => action)).toEqual(['build', 'build']);
  expect(keys(third).filter((key) => keys(first).includes(key))).toEqual([]);
});

test('maxAge rebuilds what is older, with what is based on it', async () => {
  const aging = MODULES.replace('name: base\n', 'name: base\nmaxAge: 7d\n');
  await build({}, aging);
  api.pass(6 * DAY_MS);
  expect(await build({}, aging)).toEqual([
    'base: reuse (base:1, built lately)',
    'child: reuse (child:1, built lately)',
  ]);
  api.pass(2 * DAY_MS);
  expect(await build({}, aging)).toEqual(['base: build (older than 7d)', 'child: build (parent base is rebuilt)']);
  expect(await images()).toEqual(['base:1 old', 'base:2', 'child:1 old on base:1 old', 'child:2 on base:2']);
});

test('the same request under its key returns the build that it began, not of another rebuild', async () => {
  await build();
  const options = { rebuild: ['base'], idempotencyKey: 'once' };
  const first = await api.client.submit(submission(), options);
  await api.work();
  const { buildId, plan } = await api.client.submit(submission(), options);
  const planned = ({ modules }: typeof plan) => modules.map(({ layerKey, action, why }) => [layerKey, action, why]);
  expect(buildId).toBe(first.buildId);
  expect(planned(plan)).toEqual(planned(first.plan));
});

test('names that are not there are refused', async () => {
  await expect(api.client.plan(submission(), { only: ['chid'] })).rejects.toThrow(
    'Module "chid" to build not found; did you mean "child"?',
  );
  await expect(api.client.plan(submission(), { rebuild: ['chid'] })).rejects.toThrow(
    'Module "chid" to rebuild not found; did you mean "child"?',
  );
});

test('the command line prints the reason and the existing versions', async () => {
  await build();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-rebuild-'));
  const file = join(folder, 'lab.yaml');
  await writeFile(file, MODULES);
  const slipway = async (...args: string[]) => {
    const [node, main] = programCommand('cli/main');
    const child = spawn(node, [main, ...args, '--url', api.url], {
      env: { PATH: process.env['PATH'], HOME: folder, XDG_STATE_HOME: folder, SLIPWAY_TOKEN: TOKEN },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { stdout, stderr };
  };
  const { stderr } = await slipway('build', file, '--no-wait', '--rebuild', 'base', '--only', 'base');
  expect(stderr.split('\n').slice(0, 2)).toEqual([
    'base: build (rebuilt by --rebuild)',
    'warning: child:1 is not rebuilt and stays based on base:1, which this build replaces',
  ]);
  await api.work();
  const [plan, table] = await Promise.all([slipway('plan', file), slipway('images')]);
  expect(plan.stdout).toMatch(/^base +reuse .* base:2, built .+$/m);
  expect(plan.stdout).toMatch(/^child +build .* base +child:1 is based on another version of base$/m);
  expect(table.stdout).toMatch(/^base:1 +- +.* (ago|just now) +bootstrap +1 +1 KiB +- +- +child:1 +lab/m);
  expect(table.stdout).toMatch(/^base:2 +current +- +.* (ago|just now) +bootstrap +1 +1 KiB +- +- +- +lab/m);
  expect(table.stdout).toMatch(
    /^child:1 +current +- +.* (ago|just now) +bootstrap +1 +1 KiB +- +base:1 \(older\) +- +lab/m,
  );
  await rm(folder, { recursive: true });
});
