import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath, programCommand } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { machineName } from '../../common/contracts/object-names.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { findProcesses } from '../../embedded/host/processes.ts';
import { type ConsoleViewer, isDark, openViewer } from '../harness/console-viewer.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { viewProcess } from '../harness/process-view.ts';

const BUILD_MS = 400_000;

describe('a step that waits for a person', () => {
  const resources = new ReleaseStack();
  const events: StoredEvent[] = [];
  let farm: TestFarm;
  let buildId: string;
  let machine: string;
  let following: Promise<void>;
  let builder: ConsoleViewer;
  let viewer: ConsoleViewer;

  beforeAll(async () => {
    const image = await serveFile((await guestImages()).cloudImage);
    resources.defer('image', () => image.stop());
    farm = await startFarm({ flags: ['--vms', '2'] });
    resources.defer('farm', () => farm.purge());
    const submitted = await farm.client.submit({
      files: readModuleFiles([packagePath('test', 'e2e', 'modules', 'handbuild.yaml')]),
      variables: { IMAGE_URL: image.url, IMAGE_SHA256: image.sha256 },
    });
    buildId = submitted.buildId;
    // Before the machine is there.
    builder = await openViewer(await farm.client.machines.openConsole(buildId, 'desk'));
    const { token } = await farm.client.createToken({ role: 'viewer' });
    viewer = await openViewer(
      await new FarmClient({ url: farm.connection.url, token }).machines.openConsole(buildId, 'desk'),
    );
    following = follow();
    const layerBuild = (await farm.client.build(buildId)).modules[0]?.layerBuild ?? '';
    machine = machineName({ layerBuild, generation: 1 }, 'desk');
  }, 120_000);

  afterAll(() => resources.close(), 60_000);

  test('cannot be continued before it waits', async () => {
    await expect(farm.client.continue(buildId, 'desk')).rejects.toMatchObject({ code: 'NotWaiting' });
  });

  test('is watched from the boot on, through the worker that types', { timeout: BUILD_MS }, async () => {
    const redis = new Redis(farm.connection.redisUrl);
    resources.defer('redis', () => redis.disconnect());
    const typist = () => redis.hget(`{farm}:console:${machine}`, 'rank').then((rank) => Number(rank) > 0);
    await expect.poll(async () => (await typist()) && !isDark(viewer.screen), { timeout: 300_000 }).toBe(true);
    await expect.poll(() => find('handbuild-waiting'), { timeout: 300_000 }).toBeDefined();
    expect(find('handbuild-waiting')).toMatchObject({ instructions: expect.stringContaining('write /root/typed') });
    expect(await typist()).toBe(false);
    expect([builder, viewer].map(({ session }) => session.lost.aborted)).toEqual([false, false]);
  });

  test('shows up wherever people look', async () => {
    const { modules } = await farm.client.build(buildId);
    expect(modules[0]?.vms[0]?.handbuild).toMatchObject({ step: 1, name: 'by hand' });
    const { stdout } = await farm.slipway('ps', buildId);
    expect(stdout).toContain('hands/desk: step 2 "by hand" waits for you:\n  > Log in as root, write /root/typed.');
    expect(stdout).toContain(`slipway continue ${buildId} desk`);
    const metrics = await fetch(`${farm.connection.url}/metrics`, {
      headers: { authorization: `Bearer ${farm.connection.token}` },
    });
    expect(await metrics.text()).toContain('slipway_handbuilds_waiting{cluster="local"} 1');
  });

  test('has a relay without rights, and no process of the farm shows a secret in its arguments or environment', async () => {
    const pids = [
      ...Object.values(farm.current().pids).flat(),
      ...(await findProcesses(farm.dataDir)).map(({ pid }) => pid),
    ];
    const processes = pids.map(viewProcess);
    const named = (...ways: string[]) =>
      ways.map((way) => processes.filter(({ argv }) => argv.some((word) => word.includes(way))).length > 0);
    expect(named('qemu-system', 'dnsmasq', 'redis', 'scheduler/main', '--phase')).not.toContain(false);
    const secrets = ['farm-key', 'token', 'metrics-token', join('cluster', 'token')];
    for (const secret of secrets.map((name) => readFileSync(join(farm.dataDir, name), 'utf8').trim())) {
      expect(secret.length).toBeGreaterThan(20);
      const showing = processes.filter(({ argv, environment }) =>
        [...argv, ...environment].join('\n').includes(secret),
      );
      expect(showing.map(({ argv }) => argv)).toEqual([]);
    }
    const relays = processes.filter(({ argv }) => argv[1]?.endsWith('workers/relay/main.js'));
    expect(relays.map(({ user }) => user)).toEqual([65_532]);
    expect(relays[0]?.capabilities).toMatch(/^0+$/);
  });

  test('takes what a builder types, and nothing from a viewer', { timeout: 120_000 }, async () => {
    await viewer.type('echo >/root/looked<enter>');
    await builder.settled();
    await builder.typeAndSee('root');
    await builder.typeAndSee('<enter>');
    // Not echoed.
    await builder.type('byhand');
    await builder.typeAndSee('<enter>');
    await builder.typeAndSee('echo Made By Hand >/root/typed; sync<enter>');
    await expect.poll(() => builder.screen.pixels.equals(viewer.screen.pixels), { timeout: 20_000 }).toBe(true);
    expect(isDark(viewer.screen)).toBe(false);
  });

  test('can be looked at with any viewer, and as a picture', { timeout: 60_000 }, async () => {
    const environment = { ...process.env, SLIPWAY_URL: farm.connection.url, SLIPWAY_TOKEN: farm.connection.token };
    const [node, main] = programCommand('cli/main');
    const child = spawn(node, [main, 'console', `${buildId}/desk`], {
      env: environment,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [address] = await once(createInterface({ input: child.stdout }), 'line');
    const [host, port] = String(address).split(':');
    const other = await openViewer(connect(Number(port), host));
    await expect.poll(() => other.screen.pixels.equals(builder.screen.pixels), { timeout: 20_000 }).toBe(true);
    child.kill('SIGINT');
    await once(other.session.lost, 'abort');
    const folder = await mkdtemp(join(tmpdir(), 'screen-'));
    resources.defer('folder', () => rm(folder, { recursive: true }));
    const file = join(folder, 'screen.png');
    expect(await farm.slipway('console', `${buildId}/desk`, '--screenshot', file)).toMatchObject({ exitCode: 0 });
    expect((await readFile(file)).subarray(1, 4).toString()).toBe('PNG');
  });

  test('lets the person restart the machine at its serial port', { timeout: 240_000 }, async () => {
    const environment = { ...process.env, SLIPWAY_URL: farm.connection.url, SLIPWAY_TOKEN: farm.connection.token };
    const [node, main] = programCommand('cli/main');
    const child = spawn(node, [main, 'console', '--serial', `${buildId}/desk`], {
      env: environment,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    let output = '';
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
    const answer = async (prompt: RegExp, text: string) => {
      await expect.poll(() => output, { timeout: 60_000 }).toMatch(prompt);
      output = '';
      child.stdin.write(`${text}\n`);
    };
    // The prompt was printed before; the first line break may come before the viewer is connected.
    await expect.poll(() => child.stdin.write('\n') && output, { timeout: 20_000, interval: 500 }).toMatch(/login: $/);
    await answer(/login: $/, 'root');
    await answer(/Password: $/, 'byhand');
    await answer(/# $/, 'reboot');
    await expect.poll(() => output, { timeout: 120_000 }).toContain('tiny: ready');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await builder.settled();
    expect(builder.session.lost.aborted).toBe(false);
  });

  test('continues once when a person continues it, though its worker was killed', { timeout: BUILD_MS }, async () => {
    for (const pid of farm.current().pids['provision'] ?? []) process.kill(pid, 'SIGKILL');
    expect(await farm.slipway('continue', buildId)).toMatchObject({
      exitCode: 0,
      stdout: 'Step 2 of desk continues.\n',
    });
    const again = await farm.slipway('continue', buildId, 'desk');
    expect(again).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('waits for a person') });
    await following;
    expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
    const lines = events.flatMap((event) => (event.event === 'log' && event.source === 'step' ? [event.line] : []));
    expect(lines).toEqual(['typed: Made By Hand']);
    expect(events.filter(({ event }) => event === 'handbuild-waiting').length).toBe(1);
    expect(events.filter((event) => event.event === 'step-finished' && event.type === 'handbuild')).toMatchObject([
      { outcome: 'succeeded', name: 'by hand' },
    ]);
    await expect.poll(() => viewer.session.lost.aborted).toBe(true);
    // Each start is in the log of the serial port once, whichever worker followed it.
    const { stdout } = await farm.slipway('logs', buildId, '--serial');
    // A login prompt may be before it.
    expect(stdout.match(/^hands\/desk \| .*tiny: ready$/gm) ?? stdout).toHaveLength(2);
  });

  function find(name: StoredEvent['event']): StoredEvent | undefined {
    return events.find(({ event }) => event === name);
  }

  async function follow(): Promise<void> {
    for await (const event of farm.client.events(buildId)) events.push(event);
  }
});
