import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { systemClock } from '../../common/clock/clock.ts';
import { packagePath } from '../../common/config/package-root.ts';
import { type Config, configSchema } from '../../common/config/schema.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import { imageRetention } from '../../common/contracts/images.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { ANNOTATIONS } from '../../common/contracts/object-keys.ts';
import { EQUAL_OWNERS, type Owners } from '../../common/contracts/owners.ts';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import { runnableModule } from '../../common/contracts/runs.ts';
import type { TokenRole } from '../../common/contracts/tokens.ts';
import { createGuardedAgent } from '../../common/fetch/guarded-agent.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { KubernetesObject, VirtualMachine } from '../../common/kubernetes/objects.ts';
import type { Resource } from '../../common/kubernetes/resources.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createMetrics } from '../../common/metrics/farm-metrics.ts';
import { openRedis, useRedis } from '../../common/redis/connections.ts';
import { takeReady } from '../../common/redis/dispatches.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { advertise } from '../../common/redis/presence.ts';
import { BlobStore, type BlobStoreOptions } from '../../scheduler/blobs/blob-store.ts';
import { BuildService } from '../../scheduler/builds/build-service.ts';
import { ConsoleRelays } from '../../scheduler/console/console-relays.ts';
import { PhaseQueues } from '../../scheduler/dispatch/queues.ts';
import { ExportService } from '../../scheduler/exports/export-service.ts';
import type { NetworkOffer } from '../../scheduler/graph/network-offers.ts';
import { createApp } from '../../scheduler/http/app.ts';
import { serveUpgrades } from '../../scheduler/http/upgrades.ts';
import { measureFarm } from '../../scheduler/measure.ts';
import { Planner } from '../../scheduler/planning/planner.ts';
import { startRedis } from '../harness/redis-server.ts';
import { sampleLayerVm } from '../harness/sample-spec.ts';

/** The token of the configuration. */
export const TOKEN = 'a token of the test';
/** What opens the metrics. */
export const METRICS_TOKEN = 'another token of the test';
/** What the API must never return. */
export const SECRET = 'open sesame';
export const LAB = {
  name: 'lab',
  namespace: 'slipway',
  labels: { zone: 'eu' },
  limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 16 * 1024 ** 3 },
};
/** Two modules, one on the other. */
export const MODULES = `
name: base
vms:
  - name: vm
    source: { blank: true }
    resources: { cpu: 1, memory: 1Gi }
    communicator: { type: ssh, sshUsername: root, sshPassword: ${SECRET} }
---
name: child
vms:
  - name: vm
    source: { buildRef: { name: base } }
    resources: { cpu: 1, memory: 1Gi }
`;
/** One module with a step for a person. */
export const BY_HAND = `
name: desk
vms:
  - name: vm
    source: { blank: true }
    resources: { cpu: 1, memory: 1Gi }
    provisioners: [{ name: by hand, type: handbuild, handbuild: { instructions: Press Accept. } }]
`;
const PICTURE = [0x89, 0x50, 0x4e, 0x47, 0xff, 0x00];

/** How far `work` goes, and who sees it. */
interface Work {
  readonly until?: Phase;
  readonly onClaim?: (claim: PhaseClaim) => void;
}

/** What the farm does with local files, and what its cluster gives. */
interface FarmOptions {
  readonly network?: NetworkOffer;
  readonly blobLimits?: Partial<BlobStoreOptions>;
  readonly blobsUrl?: string | null;
  readonly owners?: Owners;
  /** Loopback addresses that the farm itself may reach. */
  readonly allowedAddresses?: readonly string[];
  /** What leads to machines. */
  readonly cluster?: ClusterClient;
}

export type LiveApi = Awaited<ReturnType<typeof startApi>>;

/** The HTTP interface on a port of its own and a Redis of its own; `limits` replace those of the configuration. */
export async function startApi(
  limits: Partial<Config['http']['limits']> = {},
  consoleFolder = packagePath('dist', 'dashboards', 'console'),
  {
    blobLimits = {},
    blobsUrl = 'http://farm',
    network = { kind: 'kube-ovn', hasEgress: true },
    owners = EQUAL_OWNERS,
    allowedAddresses = [],
    cluster,
  }: FarmOptions = {},
) {
  const resources = new ReleaseStack();
  const lines: string[] = [];
  const logger = createLogger({ name: 'test', level: 'silent', destination: { write: (line) => lines.push(line) } });
  const server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  const redis = await useRedis(resources, { url: server.url, logger }, 'producer');
  const notices = await subscribeNotices(await useRedis(resources, { url: server.url, logger }, 'listener'), logger);
  const store = createPhaseStore({ redis, notices });
  const queues = resources.use('queues', new PhaseQueues({ redis, logger }, [LAB.name]), (opened) => opened.close());
  const clock = systemClock;
  let aheadMs = 0;
  const hurries = new EventEmitter().setMaxListeners(0);
  const agent = createGuardedAgent({ allowedAddresses });
  const metrics = createMetrics();
  const farmKey = createFarmKey('key');
  const directory = await mkdtemp(join(tmpdir(), 'slipway-blobs-'));
  resources.defer('blobs', () => rm(directory, { recursive: true }));
  const blobs = await BlobStore.open({ directory, maxBytes: 2 ** 30, totalBytes: 2 ** 31, clock, ...blobLimits });
  const planner = resources.use('planner', new Planner({ farmKey: Buffer.from('key') }), (opened) => opened.close());
  const templates = new Map<string, VirtualMachine>();
  const templateOf = async <T extends KubernetesObject>(_resource: Resource<T>, name: string) =>
    templates.get(name) as T | undefined;
  const builds = new BuildService({
    redis,
    planner,
    agent,
    clock: { ...clock, now: () => clock.now() + aheadMs },
    farmKey,
    blobs,
    blobsUrlOf: () => blobsUrl,
    clusters: [{ ...LAB, client: { name: LAB.name, get: templateOf }, network: async () => network }],
    owners,
    retentionMs: 60_000,
    failureRetentionMs: 600_000,
  });
  const exports = new ExportService({
    directory: join(directory, 'exports'),
    clusterOf: () => undefined,
    clock,
    logger,
  });
  // No machine runs: viewers see the dark screen of before.
  const self = { owner: 'here', address: 'http://127.0.0.1:1', rank: 0 };
  const consoles = resources.use(
    'consoles',
    new ConsoleRelays({ redis, notices, clock, logger, farmKey, self, clusterOf: () => undefined }),
    (opened) => opened.close(),
  );
  const app = createApp({
    redis,
    notices,
    measureStorage: async () => [],
    clusterOf: () => cluster,
    queues,
    farmKey,
    owners,
    builds,
    consoles,
    blobs,
    clock: {
      ...clock,
      after: (ms, signal) => Promise.race([clock.after(ms, signal), once(hurries, 'now').then(() => {})]),
    },
    logger,
    token: TOKEN,
    metricsToken: METRICS_TOKEN,
    consoleFolder,
    metrics,
    retention: imageRetention({}),
    exports,
    agent,
    sessionMs: 3_600_000,
    trustProxy: ['loopback'],
    limits: { ...configSchema.parse({}).http.limits, ...limits },
    clusters: [LAB],
    isReady: () => true,
    measure: () => measureFarm(metrics, { redis, queues, clock, logger, clusters: [LAB] }),
    openListener: () => openRedis({ url: server.url, logger }, 'listener'),
    liveScreenshot: async () => null,
  });
  const { url, cut } = await listen(resources, app);
  /** Who is not heard of for some seconds counts as gone. */
  const advertiseWorkers = async () => {
    for (const phase of PHASES) await advertise(redis, { worker: 'w', phase, cluster: LAB.name, capacity: 4 });
  };
  /** Starts every phase that is ready. */
  const startReady = async (): Promise<PhaseClaim[]> => {
    const { jobs } = await takeReady(redis, { cluster: LAB.name, limits: LAB.limits });
    await queues.add(jobs);
    const claims = await Promise.all(jobs.map(({ reference }) => store.claim(reference, 'w1')));
    return claims.filter((claim) => claim !== null);
  };
  /** Ends a phase well. */
  const finish = (claim: PhaseClaim) => {
    const { phase, vm } = claim.job;
    const result = phase === 'snapshot' ? { layerVm: sampleLayerVm(vm, 's') } : {};
    return store.commit(claim, { outcome: 'succeeded', ...result });
  };
  const client = new FarmClient({ url, token: TOKEN });
  // A stream whose answer is garbage is closed with it.
  const answers: Response[] = [];
  return {
    url,
    /** Cuts every connection, streams and consoles too. */
    cut,
    redis,
    queues,
    client,
    blobs,
    /** Lets the cluster have the templates of images that were made of these modules. */
    keepTemplates: (text: string) => {
      const [module] = parseModules([{ path: 'lab.yaml', text }]).modules;
      if (!module) throw new Error('There is a module to run.');
      const vms = module.vms.map(({ communicator, ...vm }) => {
        const { sshPassword } = communicator;
        return { ...vm, communicator: { ...communicator, sshPassword: sshPassword && farmKey.seal(sshPassword) } };
      });
      const annotations = { [ANNOTATIONS.recipe]: JSON.stringify(runnableModule({ ...module, vms })) };
      templates.set('t-s', {
        metadata: { name: 't-s', annotations },
        spec: { template: { spec: { domain: { devices: {} } } } },
      });
    },
    /** Lets the cluster have a machine. */
    keepMachine: (name: string, annotations: Record<string, string>) => {
      templates.set(name, {
        metadata: { name, annotations },
        spec: { template: { spec: { domain: { devices: {} } } } },
      });
    },
    /** Where contents of local files lie, and exports. */
    directory,
    farmKey,
    /** Lines of the audit log so far. */
    audited: () => lines.map((line) => JSON.parse(line)).filter(({ audit }) => audit === true),
    /** A request with the token of the configuration, unless another one is given. What it opens stays open. */
    call: async (path: string, init: RequestInit = {}, token = TOKEN) => {
      const headers = { authorization: `Bearer ${token}`, ...init.headers };
      const answer = await fetch(`${url}${path}`, { ...init, headers });
      answers.push(answer);
      return answer;
    },
    /** Empties Redis and puts a worker of every phase there. */
    reset: async () => {
      await redis.flushall();
      lines.length = 0;
      aheadMs = 0;
      await advertiseWorkers();
    },
    store,
    /** Lets time pass for who plans. */
    pass: (ms: number) => {
      aheadMs += ms;
    },
    /** Ends the waits of who answers requests: what is looked at from time to time is looked at now. */
    hurry: () => void hurries.emit('now'),
    /** A token of a role, made again. */
    tokenOf: async (role: TokenRole) => (await client.createToken({ role, name: `the-${role}` })).token,
    as: (token: string) => new FarmClient({ url, token }),
    /** The cookie of a browser that has signed in with a token. */
    signIn: async (token = TOKEN): Promise<string> => {
      const link = await new FarmClient({ url, token }).consoleLink();
      const answer = await fetch(link, { redirect: 'manual' });
      return (answer.headers.get('set-cookie') ?? '').split('; ')[0] ?? '';
    },
    startReady,
    finish,
    /** Executes every phase that becomes ready, and shows every claim, until none does or a phase begins: then its claim. */
    work: async ({ until, onClaim }: Work = {}): Promise<PhaseClaim | undefined> => {
      await advertiseWorkers();
      for (let claims = await startReady(); claims.length > 0; claims = await startReady()) {
        for (const claim of claims) {
          onClaim?.(claim);
          const { phase, vm } = claim.job;
          if (phase === until) return claim;
          if (phase === 'provision') {
            const log = { event: 'log', phase, source: 'step', line: 'a "module":"line"' } as const;
            await store.emit(claim, { ...log, module: claim.spec.module.name, vm });
            await store.saveScreenshot(claim, Buffer.from(PICTURE));
          }
          await finish(claim);
        }
      }
      return undefined;
    },
    close: () => resources.close(),
  };
}

async function listen(resources: ReleaseStack, app: ReturnType<typeof createApp>) {
  // Longer than clients keep a connection, or one is closed just when a busy machine uses it again.
  const http = createServer({ keepAliveTimeout: 65_000 }, app).listen(0, '127.0.0.1');
  serveUpgrades(http, app, () => false);
  // The server itself forgets connections that have changed protocols.
  const connections = new Set<Socket>();
  http.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  const cut = () => {
    for (const socket of connections) socket.destroy();
  };
  await once(http, 'listening');
  resources.defer('http', async () => {
    cut();
    http.close();
  });
  const address = http.address();
  const port = typeof address === 'object' ? address?.port : '';
  return { url: `http://127.0.0.1:${port}`, cut };
}

/** All items of a stream. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
