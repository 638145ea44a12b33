import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { foundOnDisk } from '../harness/captured-disk.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { saidAtBoot } from '../harness/plain-boot.ts';

const TOKEN = randomBytes(24).toString('hex');
const KEPT = 'a template on debian\n';

let farm: TestFarm;
let image: ServedFile;

beforeAll(async () => {
  const { debianImage } = await guestImages('debian');
  if (debianImage === null) throw new Error('The Debian guest was asked for and not built.');
  image = await serveFile(debianImage);
  farm = await startFarm();
  await farm.client.setSecret('token', TOKEN);
}, 400_000);

afterAll(async () => {
  await farm?.purge();
  await image?.stop();
}, 60_000);

test('user data: keeps its meaning on a cloud image, and the image nothing of the farm', {
  timeout: 1_200_000,
  // A second try finds the layers of the first.
  retry: 0,
}, async () => {
  const files = readModuleFiles([packagePath('test', 'cases', 'debian.yaml')]);
  const submission = { files, variables: { IMAGE_URL: image.url } };
  const { buildId } = await farm.client.submit(submission);
  const events: StoredEvent[] = [];
  for await (const event of farm.client.events(buildId)) {
    events.push(event);
    if (event.event === 'step-started' && event.name === 'as root') killWorker();
  }
  const linesOf = (vm: string) =>
    events.flatMap((event) =>
      event.event === 'log' && event.source === 'step' && event.vm === vm ? [event.line.trim()] : [],
    );
  expect(linesOf('debian')).toEqual([
    ...['a boot hook', 'a script of an archive', 'a template on debian', 'status: done', 'hello from a script'],
    ...[
      '755 /usr/local/bin/hello',
      '600 7 /etc/lab.key',
      'ops P',
      'slipway-build',
      'ops@example.org',
      'root',
      'running',
    ],
  ]);
  expect(linesOf('child')).toEqual([
    ...['lab', 'root', 'instances: 2', 'nothing of the farm below', 'ops@example.org', 'slipway-build'],
  ]);
  expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
  expect((await farm.slipway('logs', buildId, '--serial', '--vm', 'child')).stdout).toContain('keys left: 0');
  // The ETag of the server is the identity of an unpinned source, so the second build has nothing to do.
  expect((await farm.client.plan(submission)).modules.map(({ action }) => action)).toEqual(['reuse', 'reuse']);
});

test('secrets: leave nothing on the disks, though the worker of their step was killed', {
  timeout: 600_000,
  retry: 0,
}, async () => {
  for (const image of ['debian', 'debian-child']) {
    expect(await foundOnDisk(farm, image, [TOKEN, KEPT]), image).toEqual([KEPT]);
  }
});

test('export: the file boots under nothing but QEMU', { timeout: 600_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-out-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'debian.qcow2');
  expect(await farm.slipway('image', 'export', 'debian-child', '-o', file)).toMatchObject({ exitCode: 0 });
  expect(await saidAtBoot(file)).toMatch(/login: $/);
});

test('run: every clone is a machine of its own', { timeout: 600_000 }, async () => {
  const runs = [await farm.client.run('debian-child', {}), await farm.client.run('debian-child', {})];
  const states = async () => (await farm.client.runs()).map(({ state }) => state);
  await expect.poll(states, { timeout: 500_000 }).toEqual(['running', 'running']);
  const identities = await Promise.all(
    runs.map(async ({ buildId }) => {
      const looked = ['cat /etc/machine-id', 'cut -d " " -f 2 /etc/ssh/ssh_host_ed25519_key.pub', 'hostname'].join(
        '; ',
      );
      const { exitCode, stdout, stderr } = await farm.slipway('ssh', `${buildId}/child`, '--', looked);
      expect(exitCode, stderr).toBe(0);
      return stdout.trim().split('\n');
    }),
  );
  const [one = [], other = []] = identities;
  for (const [id = '', hostKey = '', hostname] of identities) {
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(hostKey).toMatch(/^AAAA/);
    expect(hostname).toBe('child');
  }
  expect([one[0] === other[0], one[1] === other[1]]).toEqual([false, false]);
  // Neither is that of the image itself.
  const own = one.slice(0, 2);
  expect(await foundOnDisk(farm, 'debian-child', [...own, KEPT])).toEqual([KEPT]);
  for (const { buildId } of runs) expect(await farm.slipway('stop', buildId)).toMatchObject({ exitCode: 0 });
});

function killWorker(): void {
  for (const pid of farm.current().pids['provision'] ?? []) process.kill(pid, 'SIGKILL');
}
