import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { runCli } from '../harness/farm.ts';
import { BY_HAND, type LiveApi, MODULES, startApi, TOKEN } from './live-api.ts';

let api: LiveApi;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(() => api.reset());

afterAll(() => api.close());

/** What a command of the CLI prints, against the farm of the test. */
async function slipway(...args: string[]): Promise<string> {
  const { stdout, stderr } = await runCli(args, { ...process.env, SLIPWAY_URL: api.url, SLIPWAY_TOKEN: TOKEN });
  return stdout + stderr;
}

const submit = async (text: string) =>
  (await api.client.submit({ files: [{ path: 'lab.yaml', text }], variables: {} })).buildId;

test('cancels a build, reports when it had already ended, and shows skipped modules', { timeout: 90_000 }, async () => {
  const buildId = await submit(MODULES);
  const claim = await api.work({ until: 'boot-keystrokes' });
  if (!claim) throw new Error('The build has a boot phase.');
  const about = { event: 'phase-waiting', module: 'base', vm: 'vm', phase: 'boot-keystrokes' } as const;
  const wait = { ...about, what: 'SSH 10.0.2.2:22', error: 'no route to host', tries: 34 };
  await api.store.emit(claim, { ...wait, elapsedMs: 12_000, leftMs: 288_000 });
  expect(await slipway('ps', buildId)).toMatch(/base\/vm waits: SSH 10\.0\.2\.2:22: no route to host, 34 tries in /);
  expect(await slipway('cancel', buildId)).toBe(`Build ${buildId} is cancelled.\n`);
  // Its worker has yet to let go.
  const { modules } = await api.client.build(buildId);
  const [base] = modules[0]?.vms ?? [];
  expect(base?.phases.map(({ state }) => state)).toEqual(['succeeded', 'cancelled', 'skipped', 'skipped']);
  expect(base?.phases[1]?.finishedAt).not.toBeNull();
  expect(modules[1]?.vms[0]?.phases.map(({ state }) => state)).toEqual(['skipped', 'skipped', 'skipped', 'skipped']);
  expect(await slipway('cancel', buildId)).toBe(
    `Build ${buildId} had already ended: it was cancelled. Nothing was cancelled.\n`,
  );
  expect(await slipway('cancel', 'nothing')).toContain('Build "nothing" not found.');
});

test('retries what did not succeed as a new build', { timeout: 90_000 }, async () => {
  const buildId = await submit(MODULES);
  await slipway('cancel', buildId);
  const printed = await slipway('retry', buildId, '--no-wait');
  const id = /^[0-9A-Z]{26}$/m.exec(printed)?.[0] ?? '';
  expect(id).not.toBe(buildId);
  expect((await api.client.build(id)).modules.map(({ name, action }) => [name, action])).toEqual([
    ['base', 'build'],
    ['child', 'build'],
  ]);
});

test('imports a disk image from a file of this machine', { timeout: 90_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-import-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const disk = join(folder, 'disk.raw');
  writeFileSync(disk, Buffer.alloc(4096, 'disk'));
  await slipway('image', 'import', disk, 'brought', '--no-wait');
  await api.work();
  expect(await api.client.images.read('brought')).toMatchObject({ version: 1, current: true });
});

test('prints the serial output of machines, until their layer builds have ended', {
  timeout: 90_000,
}, async () => {
  const buildId = await submit(BY_HAND);
  const claim = await api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  await api.store.keepSerial(claim, {
    vmiUid: 'u',
    lines: ['SeaBIOS', '\u001b]0;owned\u0007desk login: ready'],
    readBytes: 9,
  });
  expect(await slipway('logs', buildId, '--serial')).toBe('desk/vm | SeaBIOS\ndesk/vm | desk login: ready\n');
  const followed = slipway('logs', buildId, '--serial', '--follow', '--json');
  await api.client.cancel(buildId);
  await api.store.commit(claim, { outcome: 'cancelled' });
  const events = (await followed)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events).toMatchObject([
    { module: 'desk', vm: 'vm', line: 'SeaBIOS' },
    { module: 'desk', vm: 'vm', line: expect.stringMatching(/desk login: ready$/) },
  ]);
});

test('lists which builds wait for a person', { timeout: 90_000 }, async () => {
  await submit(BY_HAND);
  const claim = await api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  const step = { module: 'desk', vm: 'vm', step: 0, name: 'by hand', type: 'handbuild' };
  await api.store.pause(claim, { event: 'handbuild-waiting', ...step, instructions: 'Press Accept.' }, null);
  expect(await slipway('ps')).toContain('desk waits for you');
});

test('prints a fitting remedy, and none where the message is sufficient', { timeout: 90_000 }, async () => {
  const buildId = await submit(MODULES);
  expect(await slipway('console', 'nonsense')).toBe(
    'error: "nonsense" is not a build and a machine: write BUILD/VM.\n',
  );
  expect(await slipway('console', `${buildId}/nobody`)).toBe(
    `error: VM "nobody" is not part of the build.\n\`slipway ps ${buildId}\` lists the machines of the build.\n`,
  );
});

test('drains, limits and labels a cluster', { timeout: 120_000 }, async () => {
  expect(await slipway('cluster', 'drain', 'lab')).toBe(
    'The cluster lab is drained: no machine or import of the farm runs there.\n',
  );
  expect(await slipway('ps')).toContain('lab: draining, by bootstrap\n');
  expect(await slipway('cluster', 'label', 'lab', 'disk=fast', 'zone-')).toBe(
    'The labels of the cluster lab: disk=fast.\n',
  );
  const limited = await slipway('cluster', 'limit', 'lab', '--vms', '2', '--memory', '8Gi');
  expect(limited).toMatch(/^lab +draining +0\/2 \(4\) +0\/4 +0\/8 +8Gi \(16Gi\) +disk=fast +bootstrap/m);
  expect(await slipway('cluster', 'limit', 'lab', '--vms', 'default')).toMatch(/^lab +draining +0\/4 /m);
  expect(await slipway('cluster', 'limit', 'lab', '--vms', '0')).toContain('Write a number above 0, or "default".');
  expect(await slipway('cluster', 'pause', 'moon')).toContain('Cluster "moon" not found: this farm has lab.');
});
