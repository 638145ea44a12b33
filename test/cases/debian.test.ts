import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { foundInFile, foundOnDisk, withExport } from '../harness/captured-disk.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { bootOutput } from '../harness/plain-boot.ts';

const TOKEN = randomBytes(24).toString('hex');
const KEPT = 'a template on debian\n';
const IDENTITY: readonly string[] = [expect.stringMatching(/^[0-9a-f]{32}$/), expect.stringMatching(/^AAAA/)];

let farm: TestFarm;
let image: ServedFile;
let tiny: ServedFile;
/** Machine id and host key of the machine that became the child's image. */
let identity: readonly string[] = [];

beforeAll(async () => {
  const { debianImage, cloudImage } = await guestImages('debian');
  if (debianImage === null) throw new Error('The Debian guest was asked for and not built.');
  image = await serveFile(debianImage);
  tiny = await serveFile(cloudImage);
  farm = await startFarm();
  await farm.client.setSecret('token', TOKEN);
}, 400_000);

afterAll(async () => {
  await farm?.purge();
  await image?.stop();
  await tiny?.stop();
}, 60_000);

test('user data: keeps its meaning on a cloud image, and the image nothing of the farm', {
  timeout: 1_800_000,
  // A second try finds the layers of the first.
  retry: 0,
}, async () => {
  const files = readModuleFiles([packagePath('test', 'cases', 'debian.yaml')]);
  const submission = { files, variables: { IMAGE_URL: image.url, TINY_URL: tiny.url } };
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
      ...['nameserver 127.0.0.53', 'search .', '1'],
      'root',
      'running',
    ],
  ]);
  expect(linesOf('child')).toEqual([
    ...['lab', 'root', 'instances: 2', 'nothing of the farm below', 'ops@example.org', 'slipway-build'],
    ...['nameserver 127.0.0.53', 'search debian-child.internal'],
    ...['1', 'SSH-2.0 at web', '1', 'SSH-2.0 at web.debian-child.internal'],
    ...IDENTITY,
  ]);
  identity = linesOf('child').slice(-IDENTITY.length);
  expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
  expect((await farm.slipway('logs', buildId, '--serial', '--vm', 'child')).stdout).toContain('keys left: 0');
  // The ETag of the server is the identity of an unpinned source, so the second build has nothing to do.
  expect((await farm.client.plan(submission)).modules.map(({ action }) => action)).toEqual(['reuse', 'reuse']);
});

test('secrets: leave nothing on the disks, though the worker of their step was killed', {
  timeout: 600_000,
  retry: 0,
}, async () => {
  expect(await foundOnDisk(farm, 'debian', [TOKEN, KEPT])).toEqual([KEPT]);
});

test('export: the file holds no secret of the parent either, and boots under nothing but QEMU', {
  timeout: 600_000,
}, async () => {
  await withExport(farm, ['debian-child', '--vm', 'child'], async (file) => {
    expect(await foundInFile(file, [TOKEN, KEPT])).toEqual([KEPT]);
    expect(await bootOutput(file, 'qcow2')).toMatch(/login: $/);
  });
});

test('run: a clone has an identity that the image has not', { timeout: 600_000 }, async () => {
  const { exitCode, stdout, stderr } = await farm.slipway('run', 'debian-child');
  expect(exitCode, stderr).toBe(0);
  const clone = stdout.trim();
  const looked = 'cat /etc/machine-id; cut -d " " -f 2 /etc/ssh/ssh_host_ed25519_key.pub; hostname; id -un';
  const seen = await farm.slipway('ssh', `${clone}/child`, '--', looked);
  expect(seen.exitCode, seen.stderr).toBe(0);
  const lines = seen.stdout.trim().split('\n');
  expect(lines).toEqual([...IDENTITY, 'child', 'lab']);
  for (const line of identity) expect(lines).not.toContain(line);
  expect(await farm.slipway('stop', clone)).toMatchObject({ exitCode: 0 });
});

function killWorker(): void {
  for (const pid of farm.current().pids['provision'] ?? []) process.kill(pid, 'SIGKILL');
}
