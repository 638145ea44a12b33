import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { systemClock } from '../common/clock/clock.ts';
import type { LiveClusters } from '../common/config/live-clusters.ts';
import { loadConfig } from '../common/config/load-config.ts';
import { loadToken } from '../common/config/load-token.ts';
import { ownAddress } from '../common/config/own-address.ts';
import { packagePath } from '../common/config/package-root.ts';
import type { Config } from '../common/config/schema.ts';
import { createFarmKey, readFarmKey } from '../common/config/sealing.ts';
import { watchConfig } from '../common/config/watch-config.ts';
import { consoleLinks } from '../common/console/console-link.ts';
import { imageRetention } from '../common/contracts/images.ts';
import { machineName } from '../common/contracts/object-names.ts';
import type { Owners } from '../common/contracts/owners.ts';
import { FarmError } from '../common/errors/farm-error.ts';
import { createGuardedAgent } from '../common/fetch/guarded-agent.ts';
import { screenshot } from '../common/kubernetes/machine-actions.ts';
import type { ReleaseStack } from '../common/lifecycle/release-stack.ts';
import { runProcess } from '../common/lifecycle/run-process.ts';
import { createLogger, type Logger } from '../common/logging/logger.ts';
import { createMetrics } from '../common/metrics/farm-metrics.ts';
import { assertRedisFit, openRedis, useRedis } from '../common/redis/connections.ts';
import { readFarmId } from '../common/redis/farm-id.ts';
import { holdLease } from '../common/redis/leases.ts';
import { subscribeNotices } from '../common/redis/notices.ts';
import { BlobStore } from './blobs/blob-store.ts';
import { runBlobSweep } from './blobs/sweep-blobs.ts';
import { BuildService } from './builds/build-service.ts';
import { measureStorage } from './catalog/measure-storage.ts';
import { runImageRetention } from './catalog/prune-images.ts';
import { ConsoleRelays } from './console/console-relays.ts';
import { PhaseQueues } from './dispatch/queues.ts';
import { carryTasksOn, keepDeadlines, runSafetySweep } from './dispatch/safety-sweep.ts';
import { ExportService } from './exports/export-service.ts';
import { runExportSweep } from './exports/sweep-exports.ts';
import { createFarmClusters, type FarmClustersOptions } from './farm-clusters.ts';
import { createApp } from './http/app.ts';
import { listenPlain, listenTls } from './http/listen.ts';
import { serveUpgrades } from './http/upgrades.ts';
import { countEnds, measureFarm } from './measure.ts';
import { Planner } from './planning/planner.ts';
import { newUlid } from './planning/ulid.ts';

const config = loadConfig();
const logger = createLogger({ name: 'scheduler', level: config.log.level });

await runProcess(logger, (resources) => startScheduler(config, logger, resources));

/** The composition root: any number of these may run beside each other on one Redis. */
async function startScheduler(config: Config, logger: Logger, resources: ReleaseStack): Promise<void> {
  const tokens = readTokens(config);
  const farmSecret = readFarmKey(config.farm.keyFile);
  const farmKey = createFarmKey(farmSecret);
  const clock = systemClock;
  const owner = `${hostname()}-${process.pid}-${newUlid(clock.now())}`;
  const metrics = createMetrics({ process: 'scheduler', clusters: config.clusters.map(({ name }) => name) });
  const redisOptions = { ...config.redis, logger, onReply: (ms: number) => metrics.redisLatency.observe(ms / 1000) };
  const redis = await useRedis(resources, redisOptions, 'producer');
  await assertRedisFit(redis, config.redis);
  const farm = await readFarmId(redis, config.farm);
  logger.info({ farm }, 'Objects on clusters are labelled with this farm');
  const notices = await subscribeNotices(await useRedis(resources, redisOptions, 'listener'), logger);
  const queues = resources.use('queues', new PhaseQueues({ redis, logger }), (opened) => opened.close());
  const owners = ownersOf(config);
  const { open: clusters, live } = createFarmClusters({
    ...{ redis, notices, queues, metrics, clock, logger, owners, farm, owner },
    failureRetentionMs: config.retention.failure,
  });
  resources.defer('clusters', () => live.stop());
  await live.follow(config.clusters);
  const agent = resources.use('fetch agent', createGuardedAgent(config.fetch), (opened) => opened.destroy());
  const planner = resources.use(
    'planner',
    new Planner({ farmKey: farmSecret, mostModules: config.http.limits.modules }),
    (opened) => opened.close(),
  );

  const shared: Shared = { config, redis, notices, queues, metrics, clock, logger, owner };
  const find = (name: string) => clusters.find((cluster) => cluster.name === name);
  const { blobs, exports } = await openStores(shared, resources, (name) => {
    const found = find(name);
    return found && { client: found.client, config: found.config, farm };
  });
  const signal = startLoops({ ...shared, live, blobs, exports }, resources);

  const server = createServer();
  const { url, port } = await listenPlain(resources, server, config.http);
  const tls = await listenTls(resources, config.http);
  const clientOf = (name: string) => find(name)?.client;
  const consoles = resources.use(
    'consoles',
    new ConsoleRelays({
      ...{ redis, notices, clock, logger, farmKey },
      self: { owner, address: ownAddress(config.http, port), rank: 0 },
      clusterOf: clientOf,
    }),
    (opened) => opened.close(),
  );
  const blobsUrlOf = (name: string) => {
    const configured = find(name)?.config.blobsUrl ?? config.blobs.url ?? null;
    return configured === 'own' ? ownAddress(config.http, port) : configured;
  };
  const app = createApp({
    ...{ redis, notices, queues, metrics, logger, farmKey, clock, consoles, blobs, exports, agent, clusters, owners },
    ...tokens,
    ...{ limits: config.http.limits, sessionMs: config.http.sessions, trustProxy: config.http.trustProxy },
    retention: imageRetention(config.retention.images),
    clusterOf: clientOf,
    measureStorage: () =>
      Promise.all(
        clusters.map(({ client, config: { storageClass } }) =>
          measureStorage({ redis, farm, cluster: client, storageClass }),
        ),
      ),
    consoleFolder: packagePath('dist', 'dashboards', 'console'),
    builds: new BuildService({
      ...{ redis, clock, planner, farmKey, agent, clusters, owners, blobs, blobsUrlOf },
      retentionMs: config.retention.builds,
      failureRetentionMs: config.retention.failure,
    }),
    isReady: () => !signal.aborted,
    measure: () => measureFarm(metrics, { redis, queues, clusters, clock, logger }),
    openListener: () => openRedis(redisOptions, 'listener'),
    liveScreenshot: async (name, { vm, ...identity }) => {
      const client = clientOf(name);
      return (client && (await screenshot(client, machineName(identity, vm)).catch(() => undefined))) ?? null;
    },
  });
  const links = { farmKey, clock, find: (lease: string) => consoles.find(lease) };
  for (const each of tls ? [server, tls.server] : [server]) {
    serveUpgrades(each, app, consoleLinks({ ...links, mayType: (lease) => consoles.isWaiting(lease) }));
    each.on('request', app);
  }
  logger.info({ url, tlsUrl: tls?.url }, 'The scheduler is ready');
  process.stdout.write(`${JSON.stringify({ event: 'ready', url, tlsUrl: tls?.url })}\n`);
}

/** What every part of a scheduler has. */
interface Shared extends Omit<FarmClustersOptions, 'owners' | 'farm' | 'failureRetentionMs'> {
  readonly config: Config;
}

/** A farm is never open: it has the token of an admin. */
function readTokens({ http, metrics }: Config) {
  if (http.tokenFile === undefined) {
    throw new FarmError(
      'InvalidConfig',
      'The option http.tokenFile is not set: it names the file with the token of an admin.',
    );
  }
  const metricsToken = metrics.tokenFile === undefined ? undefined : loadToken(metrics.tokenFile);
  return { token: loadToken(http.tokenFile), metricsToken };
}

/** Local files and exports; null without a directory for them. */
async function openStores(
  { config, clock, logger }: Shared,
  resources: ReleaseStack,
  clusterOf: ConstructorParameters<typeof ExportService>[0]['clusterOf'],
): Promise<{ blobs: BlobStore | null; exports: ExportService | null }> {
  const { directory, maxSize, totalSize } = config.blobs;
  if (directory === undefined) return { blobs: null, exports: null };
  const blobs = await BlobStore.open({ directory, maxBytes: maxSize, totalBytes: totalSize, clock });
  const exports = new ExportService({ directory: resolve(directory, 'exports'), clusterOf, clock, logger });
  resources.defer('exports', () => exports.close());
  return { blobs, exports };
}

interface LoopParts extends Shared {
  readonly live: LiveClusters;
  readonly blobs: BlobStore | null;
  readonly exports: ExportService | null;
}

/** The loops of every scheduler, and those of the one that leads the farm. Returns the signal that ends them. */
function startLoops(parts: LoopParts, resources: ReleaseStack): AbortSignal {
  const { config, redis, notices, clock, logger, owner, live, exports } = parts;
  const stopping = new AbortController();
  const { signal } = stopping;
  const loops = [
    watchConfig({ clock, logger }, (changed) => live.follow(changed.clusters), signal),
    carryTasksOn({ redis, notices, clock, logger }, signal),
    exports && runExportSweep({ exports, clock, logger, retentionMs: config.retention.exports }, signal),
    holdLease({ redis, clock, logger, name: 'farm', owner }, (term) => leadFarm(parts, term), signal),
  ];
  resources.defer('loops', async () => {
    stopping.abort();
    await Promise.all(loops);
  });
  return signal;
}

/** What one scheduler does for the whole farm, as long as it has the lease. */
async function leadFarm(parts: LoopParts, term: AbortSignal): Promise<void> {
  const { config, redis, notices, queues, metrics, clock, logger, blobs } = parts;
  const stop = notices.listen(countEnds(metrics));
  const onRepair = (phase: string) => metrics.repairs.inc({ phase });
  const retention = imageRetention(config.retention.images);
  const others = [
    keepDeadlines({ redis, notices, clock, logger }, term),
    blobs && runBlobSweep({ store: blobs, redis, clock, logger, retentionMs: config.blobs.retention }, term),
    runImageRetention({ redis, clock, logger, retention }, term),
  ];
  await runSafetySweep({ redis, queues, clock, logger, onRepair }, term).finally(stop);
  await Promise.all(others);
}

function ownersOf({ owners }: Config): Owners {
  return new Map(owners.map(({ name, memory, ...terms }) => [name, { ...terms, memoryBytes: memory }]));
}
