import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startBrowser } from '../harness/browser.ts';
import { keepPicture, violationsOf } from '../harness/console-page.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';

const GIB = 1024 ** 3;
/** The driver is asked once a minute, and the farm looks every half minute. */
const TOLD_MS = 180_000;
const MODULE = `
name: lab
vms: [{ name: vm, source: { blank: true }, disks: [{ name: system, size: 1Gi }], resources: { cpu: 1, memory: 256Mi } }]
`;

const resources = new ReleaseStack();
/** A disk of its own, which other things of this machine do not fill. */
const disk = mkdtempSync(join(tmpdir(), 'slipway-full-'));
const filler = join(disk, 'something-else');
let farm: TestFarm;
let page: Page;

beforeAll(async () => {
  resources.defer('folder', () => rmSync(disk, { recursive: true }));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=5G', 'tmpfs', disk]);
  resources.defer('disk', () => void execFileSync('umount', [disk]));
  farm = resources.use('farm', await startFarm({ dataDir: join(disk, 'farm') }), (started) => started.purge());
  const browser = resources.use('browser', await startBrowser(), (opened) => opened.close());
  page = await browser.newPage();
  await page.goto(await farm.client.consoleLink());
}, 120_000);

afterAll(() => resources.close(), 60_000);

const submit = () => farm.client.submit({ files: [{ path: 'lab.yaml', text: MODULE }], variables: {} });
const room = async () => (await farm.client.clusters())[0]?.storage;
const hasRoom = async () => {
  const { freeBytes = 0, leastBytes = 0 } = (await room()) ?? {};
  return freeBytes >= leastBytes;
};

test('a disk with room takes builds', { timeout: TOLD_MS }, async () => {
  await expect.poll(room, { timeout: TOLD_MS }).toMatchObject({ leastBytes: 2 * GIB });
  const { buildId, plan } = await submit();
  await farm.client.cancel(buildId);
  expect(plan.modules).toMatchObject([{ action: 'build' }]);
});

test('one that is nearly full refuses them with numbers, and reports it in every view', {
  timeout: 2 * TOLD_MS,
}, async () => {
  const piece = Buffer.alloc(GIB / 16);
  for (let written = 0; written < 2 * GIB; written += piece.length) appendFileSync(filler, piece);
  await expect.poll(hasRoom, { timeout: TOLD_MS }).toBe(false);
  const numbers = /its storage is full: [\d.]+ [MG]iB free, a build needs 2 GiB \([\d.]+ [KMG]iB more\)/;
  await expect(submit()).rejects.toMatchObject({ code: 'StorageFull', message: expect.stringMatching(numbers) });
  expect((await farm.slipway('ps')).stdout).toMatch(new RegExp(`^local: ${numbers.source}`, 'm'));
  const { url, token } = farm.connection;
  const metrics = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })).text();
  const value = (name: string) => Number(new RegExp(`^${name}\\{cluster="local"\\} (\\S+)$`, 'm').exec(metrics)?.[1]);
  expect(value('slipway_storage_free_bytes')).toBeLessThan(value('slipway_storage_least_bytes'));
  await page.goto(`${url}/clusters`);
  await page.getByText(new RegExp(`This cluster takes no builds: ${numbers.source}`)).waitFor();
  await page.getByRole('table', { name: 'Disk use' }).waitFor();
  await keepPicture(page, 'full-disk');
  expect(await violationsOf(page)).toEqual([]);
});

test('it takes them again when there is room', { timeout: TOLD_MS }, async () => {
  rmSync(filler);
  await expect.poll(hasRoom, { timeout: TOLD_MS }).toBe(true);
  const { buildId } = await submit();
  await farm.client.cancel(buildId);
});
