import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { systemClock as clock } from '../../common/clock/clock.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import { serveConsoleLinks } from '../../common/console/console-link.ts';
import { openVncSession } from '../../common/console/rfb2-session.ts';
import { machineName } from '../../common/contracts/object-names.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { startMachine } from '../../common/kubernetes/machine-actions.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { openSubresourceStream } from '../../common/kubernetes/subresource-stream.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { SCREEN, SERIAL } from '../../scheduler/console/console-kinds.ts';
import { ConsoleRelays } from '../../scheduler/console/console-relays.ts';
import { WorkerConsoles } from '../../workers/context/worker-consoles.ts';
import { clusterConfig } from '../harness/api-server.ts';
import { type ConsoleViewer, isDark, openViewer } from '../harness/console-viewer.ts';
import { startEmbeddedCluster } from '../harness/embedded-cluster.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { joinedStreams } from '../harness/joined-streams.ts';
import { startRedis } from '../harness/redis-server.ts';

/** Two schedulers and a worker, without the rest of them, around a machine that waits at an installer's boot prompt. */
const LAYER_BUILD = '01J00000000000000000000000';
const MACHINE = machineName({ layerBuild: LAYER_BUILD, generation: 1 }, 'vm');
const VM = { cluster: 'test', layerBuild: LAYER_BUILD, vm: 'vm' };
const WAIT = { timeout: 30_000 };
const farmKey = createFarmKey('a key for tests that is long enough');
const logger = createLogger({ name: 'test', level: 'silent' });
const resources = new ReleaseStack();
let cluster: ClusterClient;
let redisUrl: string;
let redis: Awaited<ReturnType<typeof useRedis>>;
let schedulers: ConsoleRelays[];
let worker: WorkerConsoles;
let iso: ServedFile;

beforeAll(async () => {
  iso = resources.use('iso', await serveFile((await guestImages()).installerIso), (served) => served.stop());
  const [embedded, server] = await Promise.all([startEmbeddedCluster(), startRedis()]);
  resources.defer('cluster', () => embedded.stop());
  resources.defer('redis-server', () => server.stop());
  cluster = new ClusterClient(clusterConfig(embedded.kubeconfig, { namespace: 'default' }));
  redisUrl = server.url;
  redis = await useRedis(resources, { url: redisUrl, logger }, 'producer');
  await redis.hset(KEYS.layerBuild(LAYER_BUILD), { state: 'running', generation: 1 });
  schedulers = [await startScheduler('s1'), await startScheduler('s2')];
  worker = await startWorker();
}, 60_000);

afterAll(() => resources.close(), 30_000);

test('viewers of all schedulers stay while the console goes from hand to hand', { timeout: 180_000 }, async () => {
  const viewers = [await view(0), await view(1)];
  const [first, second] = viewers as [ConsoleViewer, ConsoleViewer];
  await expect.poll(owner, WAIT).toMatch(/^s/);

  // A worker takes it before it starts the machine, and types on its own session.
  const held = await worker.hold(MACHINE, 1);
  expect(await owner()).toBe('w.1');
  await createMachine();
  const session = await openVncSession({ stream: await dialMachine(), screen: held.screen, ...bounded() });
  held.show(session);
  await expect.poll(() => viewers.map(({ screen }) => isDark(screen)), WAIT).toEqual([false, false]);
  await session.barrier();
  // A viewer cannot get in between.
  await expect(dialMachine(true)).rejects.toThrow(/Active VNC connection/);
  expect(session.lost.aborted).toBe(false);
  session.close();
  await held.release();

  // One of the schedulers continues, and the other one looks there.
  await expect.poll(owner, WAIT).toMatch(/^s/);
  const changed = () => viewers.map(({ screen }) => screen.version);
  const before = changed();
  await expect
    .poll(() => changed().map((version, index) => version > (before[index] ?? 0)), WAIT)
    .toEqual([true, true]);
  await expect(dialMachine(true)).rejects.toThrow(/Active VNC connection/);

  // So is the serial port, whichever of them has the session.
  const [wire, otherWire] = [listenToSerial(0), listenToSerial(1)];
  await expect.poll(() => redis.hget(`{farm}:console:${MACHINE}/serial`, 'owner'), WAIT).toMatch(/^s/);
  wire.stream.write('lost ');

  // Keys get there by either, but not before a step waits for a person.
  await Promise.all(viewers.map((viewer) => viewer.settled()));
  await first.type('lost');
  await redis.hset(KEYS.handbuilds('test'), `${LAYER_BUILD}/vm`, '0');
  await redis.publish(KEYS.notices, JSON.stringify({ kind: 'handbuild', layerBuild: LAYER_BUILD, vm: 'vm' }));
  for (const viewer of viewers) await viewer.typeAndSee('typed by hand ');
  const heard = () => [wire.text(), otherWire.text()];
  const both = (text: string) => [expect.stringContaining(text), expect.stringContaining(text)];
  wire.stream.write('by wire ');
  await expect.poll(heard, WAIT).toEqual(both('by wire '));
  otherWire.stream.write('and back ');
  await expect.poll(heard, WAIT).toEqual(both('and back '));
  expect(heard().join()).not.toContain('lost');
  // KubeVirt admits the next client, also a foreign one: the farm does not compete for it.
  const stranger = await openSubresourceStream(cluster, MACHINE, { stream: 'console' });
  await expect.poll(() => [wire.stream.destroyed, otherWire.stream.destroyed], WAIT).toEqual([true, true]);
  stranger.write('mine');
  expect(String((await once(stranger, 'data'))[0])).toMatch(/^m/);
  stranger.destroy();
  await expect.poll(() => first.screen.pixels.equals(second.screen.pixels), WAIT).toBe(true);

  // The viewers of the one that has it leave: it continues for the other one. When it stops, that one takes over.
  const has = Number((await owner()) === 's2');
  const last = viewers[1 - has] as ConsoleViewer;
  viewers[has]?.session.close();
  await last.typeAndSee('still there ');
  expect(await owner()).toBe(`s${has + 1}`);
  await schedulers[has]?.close();
  await expect.poll(owner, WAIT).toBe(`s${2 - has}`);
  await last.typeAndSee('and now too ');
  expect(last.session.lost.aborted).toBe(false);

  // The work ends.
  await redis.hset(KEYS.layerBuild(LAYER_BUILD), { state: 'failed', finishedAt: 1 });
  const ended = { kind: 'ended', layerBuild: LAYER_BUILD, cluster: 'test', outcome: 'failed', durationMs: 0 };
  await redis.publish(KEYS.notices, JSON.stringify(ended));
  await expect.poll(() => last.session.lost.aborted, WAIT).toBe(true);
  await expect.poll(owner, WAIT).toBeNull();
});

test('shows no console to clients outside the farm', async () => {
  const held = await worker.hold('other', 1);
  const address = (await redis.hget('{farm}:console:other', 'address')) ?? '';
  const time = Date.now();
  const upgrade = async (machine: string, when: number) => {
    const socket = new WebSocket(`${address.replace('http', 'ws')}/internal/consoles/other`, {
      headers: { authorization: `Slipway ${when}.${farmKey.fingerprint(`console ${when} ${machine}`)}` },
    });
    socket.on('error', () => {});
    const refused = once(socket, 'unexpected-response').then(([, response]) => response.statusCode as number);
    const status = await Promise.race([once(socket, 'open').then(() => 101), refused]);
    socket.terminate();
    return status;
  };
  expect(await upgrade('other', time)).toBe(101);
  expect(await upgrade('another', time)).toBe(401);
  expect(await upgrade('other', time - 300_000)).toBe(401);
  await held.release();
  expect(await upgrade('other', time)).toBe(404);
});

function owner(): Promise<string | null> {
  return redis.hget(`{farm}:console:${MACHINE}`, 'owner');
}

function bounded() {
  return { clock, signal: AbortSignal.timeout(20_000) };
}

function dialMachine(preserveSession = false): Promise<Duplex> {
  return openSubresourceStream(cluster, MACHINE, { stream: 'vnc', preserveSession });
}

/** A builder who looks through a scheduler. */
function view(scheduler: number): Promise<ConsoleViewer> {
  const [near, far] = joinedStreams();
  schedulers[scheduler]?.attach(near, { kind: SCREEN, vm: VM }, { name: 'test', mayType: true });
  return openViewer(far);
}

/** A builder at the serial port through a scheduler. */
function listenToSerial(scheduler: number): { readonly stream: Duplex; text(): string } {
  const [near, stream] = joinedStreams();
  schedulers[scheduler]?.attach(near, { kind: SERIAL, vm: VM }, { name: 'test', mayType: true });
  let text = '';
  stream.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  stream.on('end', () => stream.destroy());
  return { stream, text: () => text };
}

async function startScheduler(name: string): Promise<ConsoleRelays> {
  const notices = await subscribeNotices(await useRedis(resources, { url: redisUrl, logger }, 'listener'), logger);
  const { server, address } = await listen();
  const self = { owner: name, address, rank: 0 };
  const options = { redis, notices, clock, logger, farmKey, self, clusterOf: () => cluster };
  const relays = resources.use(name, new ConsoleRelays(options), (opened) => opened.close());
  const mayType = (machine: string) => relays.isWaiting(machine);
  serveConsoleLinks(server, { farmKey, clock, mayType, find: (machine) => relays.find(machine) });
  return relays;
}

async function startWorker(): Promise<WorkerConsoles> {
  const { server, address } = await listen();
  const consoles = new WorkerConsoles({ redis, clock, logger, address, worker: 'w' });
  serveConsoleLinks(server, { farmKey, clock, mayType: () => false, find: (machine) => consoles.find(machine) });
  return consoles;
}

async function listen() {
  const server = createServer((_request, response) => void response.writeHead(404).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer('server', () => void server.close());
  const address = server.address();
  return { server, address: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}` };
}

async function createMachine(): Promise<void> {
  const volume = { source: { http: { url: iso.url } }, storage: { resources: { requests: { storage: '1Gi' } } } };
  await cluster.createIfAbsent(RESOURCES.machines, {
    metadata: { name: MACHINE },
    spec: {
      runStrategy: 'Manual',
      dataVolumeTemplates: [{ metadata: { name: `${MACHINE}-root` }, spec: volume }],
      template: {
        spec: {
          domain: {
            memory: { guest: '256Mi' },
            devices: { disks: [{ name: 'root', cdrom: { bus: 'sata' } }], autoattachPodInterface: false },
          },
          volumes: [{ name: 'root', dataVolume: { name: `${MACHINE}-root` } }],
        },
      },
    },
  } as Parameters<typeof cluster.createIfAbsent>[1]);
  await startMachine(cluster, MACHINE);
  await expect.poll(async () => (await cluster.get(RESOURCES.instances, MACHINE))?.status?.phase, WAIT).toBe('Running');
}
