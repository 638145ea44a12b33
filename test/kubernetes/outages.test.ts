import { readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { watchObjects } from '../../common/kubernetes/watch-objects.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createMetrics } from '../../common/metrics/farm-metrics.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { readTrouble } from '../../common/redis/slots.ts';
import { watchCluster } from '../../scheduler/catalog/watch-cluster.ts';
import { clusterConfig } from '../harness/api-server.ts';
import { startRedis } from '../harness/redis-server.ts';
import { type KubernetesServer, startKubernetes } from './kubernetes-server.ts';
import { installDefinitions } from './shared-server.ts';

/** A server of its own, because it is ended, behind a wire that can be cut. */
const resources = new ReleaseStack();
const logger = createLogger({ name: 'test', level: 'silent' });
let server: KubernetesServer;
let wire: Wire;
let kubeconfig: string;

interface Wire {
  readonly port: number;
  /** Ends every connection, and refuses new ones until `mend`. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

async function startWire(to: number): Promise<Wire> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const listener = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    if (isCut) near.resetAndDestroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend: () => {
      isCut = false;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

beforeAll(async () => {
  server = await startKubernetes({ controllers: false });
  resources.defer('kubernetes', () => server.stop());
  await installDefinitions(server);
  wire = await startWire(Number(new URL(server.url).port));
  resources.defer('wire', () => wire.close());
  kubeconfig = join(dirname(server.kubeconfig), 'wired');
  const direct = await readFile(server.kubeconfig, 'utf8');
  await writeFile(kubeconfig, direct.replaceAll(server.url, `https://127.0.0.1:${wire.port}`));
});

afterAll(() => resources.close());
beforeEach(() => wire.mend());

/** The names of the machines in the events, and the words in between. */
async function* storyOf(cluster: ClusterClient, signal: AbortSignal): AsyncGenerator<string> {
  for await (const event of watchObjects(cluster, RESOURCES.configMaps, { namespace: 'slipway', signal })) {
    yield event.type === 'changed' ? `changed ${event.object.metadata?.name}` : event.type;
  }
}

async function next(story: AsyncGenerator<string>): Promise<string | undefined> {
  return (await story.next()).value;
}

test('a watch continues where it was after its connection is cut, and reports it', async () => {
  const cluster = new ClusterClient(clusterConfig(kubeconfig));
  const direct = new ClusterClient(clusterConfig(server.kubeconfig));
  const stop = new AbortController();
  const story = storyOf(cluster, stop.signal);
  expect(await next(story)).toBe('synced');
  const interrupted = next(story);
  // The stream is open once something came through it.
  await direct.create(RESOURCES.configMaps, { metadata: { name: 'before' } }, { namespace: 'slipway' });
  expect(await interrupted).toBe('changed before');
  const cut = next(story);
  wire.cut();
  expect(await cut).toBe('interrupted');
  await direct.create(RESOURCES.configMaps, { metadata: { name: 'meanwhile' } }, { namespace: 'slipway' });
  wire.mend();
  const words: (string | undefined)[] = [];
  for (let word = await next(story); word !== undefined; word = await next(story)) {
    words.push(word);
    if (word.startsWith('changed')) break;
  }
  expect(words.filter((word) => word !== 'interrupted')).toEqual(['resumed', 'changed meanwhile']);
  stop.abort();
  await story.return(undefined);
  await Promise.all([cluster.transport.close(), direct.transport.close()]);
});

test('an idle scheduler believes in its cluster again after a cut and after a restart of the API server', async () => {
  const redisServer = await startRedis();
  resources.defer('redis-server', () => redisServer.stop());
  const redis = await useRedis(resources, { url: redisServer.url, logger }, 'producer');
  const listener = await useRedis(resources, { url: redisServer.url, logger }, 'listener');
  const config = { ...clusterConfig(kubeconfig), name: 'lab' };
  const watching = new AbortController();
  const watch = watchCluster(
    {
      ...{ redis, logger, cluster: new ClusterClient(config), clusterConfig: config, farm: 'idle' },
      notices: await subscribeNotices(listener, logger),
      ...{ failureRetentionMs: 60_000, metrics: createMetrics(), clock: systemClock },
    },
    'this process',
    watching.signal,
  );
  const trouble = () => readTrouble(redis, 'lab');
  const isHealthy = () => expect.poll(trouble, { timeout: 40_000 }).toBeNull();
  const isTroubled = () => expect.poll(trouble, { timeout: 40_000 }).not.toBeNull();
  await expect.poll(() => redis.keys('*'), { timeout: 20_000 }).not.toEqual([]);
  await isHealthy();
  wire.cut();
  await isTroubled();
  wire.mend();
  await isHealthy();
  await server.restart();
  await isHealthy();
  watching.abort();
  await watch;
}, 180_000);
