import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import type { FarmEvent, ModuleResult } from '../../common/contracts/events.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { kubectl, remainingObjects } from '../harness/kubectl.ts';

const BUILD_MS = 600_000;
const MEDIA = Buffer.alloc(102_400);
const MODULES = packagePath('test', 'e2e', 'modules');

describe('modules that cannot be built', () => {
  let farm: TestFarm;
  let image: ServedFile;
  let server: Server;
  let events: FarmEvent[];
  let results: Map<string, ModuleResult>;

  beforeAll(async () => {
    const { cloudImage } = await guestImages();
    image = await serveFile(cloudImage);
    server = createServer(answerBadly).listen(0, '127.0.0.1');
    await once(server, 'listening');
    farm = await startFarm({ flags: ['--vms', '2', '--failure-retention', '0'] });
  }, 120_000);

  afterAll(async () => {
    await farm?.purge();
    await image?.stop();
    server?.closeAllConnections();
    server?.close();
  }, 60_000);

  test('end the build with exit code 2, and the others are built', { timeout: BUILD_MS }, async () => {
    const variables = {
      IMAGE_URL: image.url,
      IMAGE_SHA256: image.sha256,
      BAD_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      DEAD_URL: 'http://127.0.0.1:9/nothing.qcow2',
    };
    const { exitCode, stdout } = await farm.slipway(
      ...['build', `${MODULES}/bad-guests.yaml`, `${MODULES}/unreachable.yaml`, '--json'],
      ...Object.entries(variables).flatMap(([name, value]) => ['--var', `${name}=${value}`]),
    );
    events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const last = events.at(-1);
    expect(last?.event).toBe('build-finished');
    results = new Map(last?.event === 'build-finished' ? last.modules.map((module) => [module.name, module]) : []);
    expect(exitCode).toBe(2);
    expect(results.get('good')?.outcome).toBe('succeeded');
  });

  test.each([
    ['wrong-checksum', 'ChecksumMismatch', /checksum/i],
    ['unreachable', 'SourceUnreachable', /127\.0\.0\.1:9|refused/],
    ['too-large', 'ImageTooLarge', /1Mi|1048576|larger/],
    ['page', 'ImportFailed', /from http:\/\/127\S+page.qcow2 \(HTTP 200, 1018 bytes\): it is an HTML page.*"Sign in"/],
    ['cut', 'ImportFailed', /cut.qcow2 \(HTTP 200\).*1024 of 99999 bytes came/],
    ['login', 'ImportFailed', /login.qcow2 \(HTTP 401\): .*USER:PASSWORD/],
    ['not-started', 'MachineNotStarted', /QEMU: .*CPU model/i],
    ['step-fails', 'StepFailed', /exit code 1|code 1/],
    ['never-answers', 'GuestNeverAnswered', /20 s|sshTimeout|SSH/],
    ['powers-off', 'GuestPoweredOff', /off/],
    ['restarts', 'GuestRebooted', /guest rebooted while/],
    ['disk-full', 'GuestDiskFull', /full|space/i],
  ])('%s failed for the reason %s', (name, reason, message) => {
    const result = results.get(name);
    expect(result).toMatchObject({ outcome: 'failed', failure: { reason } });
    expect(result?.failure?.message).toMatch(message);
  });

  test('the last lines of a script are the evidence', () => {
    expect(results.get('step-fails')?.failure?.logTail).toContain('the reason');
  });

  test('the login attempts to a guest that refuses them, and its output, are reported and kept', async () => {
    const failure = results.get('never-answers')?.failure;
    // How far it has come by then depends on how busy the machine of the test is.
    expect(failure?.hints.join('\n')).toMatch(/refuses the login of "nobody-here"|has the address|nothing listens/);
    expect(failure?.serialTail.join('\n') || failure?.hints.join('\n')).toMatch(
      /Linux|BIOS|GRUB|tiny|nothing to its serial/,
    );
    const waits = events.flatMap((event) => (event.event === 'phase-waiting' ? [event] : []));
    expect(waits).toContainEqual(
      expect.objectContaining({
        ...{ module: 'never-answers', vm: 'vm', what: expect.stringMatching(/^SSH 10\.[\d.]+:22$/) },
        ...{ error: expect.stringMatching(/refused|no route|no answer|closed/), tries: expect.any(Number) },
      }),
    );
    const accepted = events[0];
    const buildId = accepted?.event === 'build-accepted' ? accepted.buildId : '';
    const { stdout } = await farm.slipway('logs', buildId, '--serial', '--follow');
    expect(stdout).toMatch(/^never-answers\/vm \| .*\w/m);
    expect(stdout.match(/^good\/good \| .*tiny: ready$/gm) ?? stdout).toHaveLength(1);
    // Every phase of every machine has added to it: the last line of a guest is that it powers off.
    expect(stdout).toMatch(/^good\/good \| .*(?:Power down|power off|halt)/im);
  });

  test('cloud-init and the environment of a step work on a cloud image', () => {
    const lines = events.flatMap((event) => (event.event === 'log' && event.module === 'good' ? [event.line] : []));
    expect(lines).toContain('from-cloud-init');
    expect(lines).toContain('from-environment');
  });

  test('a failed step is kept for a person, who logs in and repairs it, and its layer is not reused by other builds', {
    timeout: BUILD_MS,
  }, async () => {
    const values = ['--var', `IMAGE_URL=${image.url}`, '--var', `IMAGE_SHA256=${image.sha256}`];
    const module = [`${MODULES}/kept.yaml`, ...values];
    const unknown = await farm.slipway('build', ...module, '--pause-before', 'vm/4', '--no-wait');
    expect(unknown).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('Step "vm/4" to pause before not found'),
    });
    const asked = ['--on-error=keep=10m', '--pause-before', 'vm/3', '--no-wait'];
    const built = await farm.slipway('build', ...module, ...asked);
    expect(built).toMatchObject({ exitCode: 0 });
    const buildId = built.stdout.trim();
    const target = `${buildId}/vm`;
    const reported: string[] = [];
    for await (const event of farm.client.events(buildId)) {
      if (event.event === 'log' && event.source === 'step') reported.push(event.line);
      if (event.event === 'step-finished') reported.push(`${event.step}: ${event.outcome}`);
      if (event.event !== 'handbuild-waiting') continue;
      reported.push(event.instructions);
      const { stdout } = await farm.slipway('ps', buildId);
      const isBefore = event.step === 2;
      expect(stdout).toContain(`step ${event.step + 1} ${isBefore ? 'has not run yet' : 'failed and is kept for you'}`);
      if (event.step === 0) {
        // Byte for byte, both ways, and with the exit code of what ran there.
        const mended = await farm.slipway('ssh', target, '--', 'touch /root/mended; echo "in $(id -un)"; exit 7');
        expect(mended).toEqual({ exitCode: 7, stdout: 'in root\n', stderr: '' });
      }
      if (event.step === 1) await expectOwnSsh(farm, target);
      const answer = event.step === 0 ? ['step', 'retry', target] : ['step', 'skip', target];
      expect(await farm.slipway(...(isBefore ? ['continue', buildId] : answer))).toMatchObject({ exitCode: 0 });
    }
    expect(reported).toEqual([
      ...['not yet', '0: failed', 'Step 1 ended with code 3.', '0: succeeded'],
      ...['1: failed', 'Step 2 ended with code 4.', 'The build pauses before this step.'],
      ...['the end', '2: succeeded'],
    ]);
    expect(await farm.slipway('ssh', target)).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('waits') });
    expect((await farm.slipway('image', 'show', 'kept')).stdout).toContain(
      'a person continued the build after a failed step',
    );
    const { runDetails } = (await farm.client.images.provenance('kept')).predicate;
    expect(runDetails.slipway_changedByHand).toBe(true);
    expect(runDetails.slipway_steps.map(({ step, attempt, outcome }) => [step, attempt, outcome])).toEqual([
      [0, 0, 'failed'],
      [0, 1, 'succeeded'],
      [1, 0, 'failed'],
      [2, 0, 'succeeded'],
    ]);
    const planned = await farm.slipway('plan', '--json', ...module);
    expect(JSON.parse(planned.stdout).modules).toMatchObject([{ action: 'build' }]);
  });

  test('a clone of an image lets people in, and is gone when it is stopped', { timeout: BUILD_MS }, async () => {
    const key = join(farm.dataDir, 'person');
    await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const started = await farm.slipway('run', 'kept', '--ttl', '1h', '--ssh-key', `${key}.pub`);
    expect(started).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('slipway ssh') });
    const clone = started.stdout.trim();
    const looked = await farm.slipway('ssh', clone, '--', 'hostname; ls /root/mended; cat /root/.ssh/authorized_keys');
    expect(looked).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^vm\n\/root\/mended\nssh-ed25519 /) });
    expect(looked.stdout.match(/^ssh-ed25519 /gm)).toHaveLength(2);
    expect((await farm.slipway('ps')).stdout).toMatch(
      new RegExp(`^${clone.slice(-8)} +kept:1 +running +\\S+ .* vm$`, 'm'),
    );
    const { clusters, records } = await farm.client.storage();
    expect(clusters).toMatchObject([{ error: null, working: { count: 1 }, sources: { count: 1 } }]);
    // What this file has failed on purpose is gone at once, and the claims of the images with it.
    expect(clusters[0]?.images.count).toBeGreaterThan(0);
    expect(clusters[0]?.working.bytes).toBeGreaterThanOrEqual(2 ** 30);
    expect(Math.min(clusters[0]?.freeBytes ?? 0, records.usedBytes)).toBeGreaterThan(0);
    expect((await farm.slipway('df')).stdout).toMatch(/^local +[\d.]+ [MG]iB \(\d+\) .* [\d.]+ [MG]iB$/m);
    expect(await farm.slipway('stop', clone)).toMatchObject({ exitCode: 0 });
    expect(await farm.client.runs()).toEqual([]);
    expect(await farm.client.images.list('kept')).toHaveLength(1);
    const left = () => remainingObjects(farm.connection.kubeconfig, 'virtualmachines', 'slipway.dev/role=build');
    await expect.poll(left, { timeout: 60_000 }).toEqual([]);
  });

  test('an import ends with its build, and what it imported goes when isoCacheTTL is over', {
    timeout: BUILD_MS,
  }, async () => {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const file = join(farm.dataDir, 'imports.yaml');
    const zeros = hash('sha256', MEDIA);
    await writeFile(
      file,
      `name: imports
isoCacheTTL: 1s
vms:
  - name: vm
    source: { blank: true }
    disks: [{ name: root, size: 1Gi }]
    isos:
      - { url: ${base}/media.iso, checksum: "sha256:${zeros}" }
      - { url: ${base}/endless.iso, checksum: "sha256:${'0'.repeat(64)}" }
`,
    );
    const list = ['get', 'volumesnapshots', '-A', '-l', 'slipway.dev/role=source', '-o', 'name'];
    const snapshots = () => kubectl(farm.connection.kubeconfig, ...list);
    const sources = async () => (await farm.client.storage()).clusters.flatMap(({ sources: { each } }) => each);
    const media = async () => (await sources()).flatMap(({ what }) => /[^/]+\.iso$/.exec(what ?? '') ?? []);
    const former = await snapshots();
    const started = await farm.slipway('build', file, '--no-wait');
    await expect.poll(media, { timeout: 60_000 }).toEqual(expect.arrayContaining(['media.iso', 'endless.iso']));
    await expect.poll(snapshots, { timeout: 60_000 }).not.toBe(former);
    expect((await farm.slipway('df')).stdout.match(/^local .* in use .*\.iso$/gm)).toHaveLength(2);
    expect(await farm.slipway('cancel', started.stdout.trim().split(/\s+/).at(-1) ?? '')).toMatchObject({
      exitCode: 0,
    });
    await expect.poll(media, { timeout: 60_000 }).toEqual([]);
    expect(await snapshots()).toBe(former);
    expect((await farm.slipway('df')).stdout).toMatch(/^local .* in 2\d h .*\.qcow2$/m);
  });

  test('nothing is left behind when failures are not kept', async () => {
    for (const kind of [
      'virtualmachines',
      'virtualmachineinstances',
      'datavolumes',
      'pods',
      'secrets',
      'vpcs',
      'subnets',
    ]) {
      expect(await remainingObjects(farm.connection.kubeconfig, kind, 'slipway.dev/role=build'), kind).toEqual([]);
    }
  });
});

/** The ssh of this machine, with a configuration that was written for it; only for Only the owner of the build. */
async function expectOwnSsh(farm: TestFarm, target: string): Promise<void> {
  const config = join(farm.dataDir, 'ssh-config');
  expect(await farm.slipway('ssh', target, '--config', config)).toMatchObject({ exitCode: 0 });
  const { url, token } = farm.connection;
  const env = { ...process.env, SLIPWAY_URL: url, SLIPWAY_TOKEN: token };
  const { stdout } = await promisify(execFile)('ssh', ['-F', config, 'vm', 'ls /root/mended'], { env });
  expect(stdout).toBe('/root/mended\n');
  const other = await farm.client.createToken({ role: 'builder', name: 'somebody-else' });
  const refused = await farm.slipway('ssh', target, '--url', url, '--token', other.token);
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Only the owner of the build') });
}

/** A page instead of an image, a server that hangs up, and one that wants to know who asks. */
const answerBadly: RequestListener = ({ url, method }, response) => {
  if (url === '/login.qcow2') return void response.writeHead(401).end();
  const isPage = url === '/page.qcow2';
  const content = isPage ? Buffer.from(`<html><title>Sign in</title>${' '.repeat(990)}`) : Buffer.alloc(1024);
  if (url === '/media.iso') return void response.end(method === 'HEAD' ? undefined : MEDIA);
  response.writeHead(200, { 'content-length': isPage ? content.length : 99_999 });
  if (method === 'HEAD' || isPage) return void response.end(method === 'HEAD' ? undefined : content);
  // As much as a look at it wants.
  if (url === '/endless.iso') return void response.write(MEDIA.subarray(0, 64 * 1024));
  response.write(content, () => response.socket?.destroySoon());
};
