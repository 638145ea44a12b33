import type { Server } from 'node:http';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type Clock, systemClock } from '../common/clock/clock.ts';
import { LiveClusters } from '../common/config/live-clusters.ts';
import { loadConfig } from '../common/config/load-config.ts';
import { loadToken } from '../common/config/load-token.ts';
import { ownAddress } from '../common/config/own-address.ts';
import type { ClusterConfig, Config } from '../common/config/schema.ts';
import { type FarmKey, loadFarmKey } from '../common/config/sealing.ts';
import { watchConfig } from '../common/config/watch-config.ts';
import { serveConsoleLinks } from '../common/console/console-link.ts';
import type { PhaseClaim } from '../common/contracts/phase-store.ts';
import { PHASES, type Phase, phaseSchema } from '../common/contracts/phases.ts';
import { FarmError } from '../common/errors/farm-error.ts';
import { ANY_ADDRESS } from '../common/fetch/address-guard.ts';
import { createGuardedAgent } from '../common/fetch/guarded-agent.ts';
import { ClusterClient } from '../common/kubernetes/cluster-client.ts';
import { userAgent } from '../common/kubernetes/user-agent.ts';
import type { ReleaseStack } from '../common/lifecycle/release-stack.ts';
import { runProcess } from '../common/lifecycle/run-process.ts';
import { createLogger, type Logger } from '../common/logging/logger.ts';
import { countTrouble } from '../common/metrics/count-trouble.ts';
import { createMetrics, type FarmMetrics } from '../common/metrics/farm-metrics.ts';
import { serveMetrics } from '../common/metrics/serve-metrics.ts';
import { assertRedisFit, useRedis } from '../common/redis/connections.ts';
import { readFarmId } from '../common/redis/farm-id.ts';
import { subscribeNotices } from '../common/redis/notices.ts';
import { sourceAddresses } from './context/source-addresses.ts';
import { WorkerConsoles } from './context/worker-consoles.ts';
import { EXECUTORS } from './executors.ts';
import { createMeasuredStore } from './runtime/measured-store.ts';
import { PhaseRunner } from './runtime/phase-runner.ts';
import { PhaseWorkers } from './runtime/worker-process.ts';

const USAGE = `Usage: main.js --phase <${PHASES.join('|')}> [--concurrency N]`;

const optionsSchema = z.object({ phase: phaseSchema, concurrency: z.coerce.number().int().min(1).optional() });
type Options = z.infer<typeof optionsSchema>;

const config = loadConfig();
const options = readOptions();
const logger = createLogger({ name: `worker.${options.phase}`, level: config.log.level });

await runProcess(logger, (resources) => startWorker(options, { config, logger, resources }));

/** The composition root of a worker: one phase on all configured clusters. */
async function startWorker(
  { phase, concurrency }: Options,
  { config, logger, resources }: { config: Config; logger: Logger; resources: ReleaseStack },
): Promise<void> {
  const clock = systemClock;
  const farmKey = loadFarmKey(config.farm.keyFile);
  const metrics = createMetrics({ process: 'worker', clusters: config.clusters.map(({ name }) => name), phase });
  const clusters = new Map<string, OpenCluster>();
  const redisOptions = { ...config.redis, logger, onReply: (ms: number) => metrics.redisLatency.observe(ms / 1000) };
  const producer = await useRedis(resources, redisOptions, 'producer');
  await assertRedisFit(producer, config.redis);
  const farm = await readFarmId(producer, config.farm);
  const notices = await subscribeNotices(await useRedis(resources, redisOptions, 'listener'), logger);
  const redis = { producer, worker: await useRedis(resources, redisOptions, 'worker') };
  const worker = `${hostname()}-${process.pid}`;
  const addressesOf = openAgents({ config, farmKey, clock }, resources);
  const { server, port } = await openMetrics(config, metrics, resources);
  const consoles = new WorkerConsoles({
    ...{ redis: producer, clock, logger, worker },
    address: ownAddress(config.http, port),
  });
  // Viewers cannot type while a boot command is typed.
  serveConsoleLinks(server, { farmKey, clock, find: (machine) => consoles.find(machine), mayType: () => false });
  const runner = new PhaseRunner({
    ...{ worker, clock, logger },
    executor: EXECUTORS[phase],
    store: createMeasuredStore({ redis: producer, notices, logLimits: config.logs }, metrics),
    contextOf: (claim) => {
      const { cluster, clusterConfig } = clusterOf(clusters, claim);
      const sources = addressesOf(claim);
      return { cluster, clusterConfig, farm, farmKey, ...sources, consoles, metrics, logLimits: config.logs };
    },
  });
  const workers = new PhaseWorkers(
    {
      ...{ phase, worker, runner, redis, clock, logger },
      onTaken: (waitedMs) => metrics.queueWait.observe({ phase }, waitedMs / 1000),
      concurrency: concurrency ?? config.worker.concurrency,
    },
    resources,
  );
  const live = new LiveClusters((clusterConfig) => {
    // It stays when the cluster is not used any more, for the jobs that still run.
    clusters.set(clusterConfig.name, openCluster(clusterConfig, { metrics, phase }));
    return workers.take(clusterConfig.name);
  });
  await live.follow(config.clusters);
  followConfig(live, resources);
  process.stdout.write(`${JSON.stringify({ event: 'ready', phase, worker, metricsPort: port })}\n`);
}

/** Follows changes of the list of clusters, until the process stops. */
function followConfig(live: LiveClusters, resources: ReleaseStack): void {
  const stopping = new AbortController();
  const { signal } = stopping;
  const watching = watchConfig({ clock: systemClock, logger }, (changed) => live.follow(changed.clusters), signal);
  resources.defer('configuration', async () => {
    stopping.abort();
    await watching;
  });
}

/** How the phases of a claim reach sources: users' addresses by a guarded agent, the farm's own store by another one. */
function openAgents(
  { config, farmKey, clock }: { config: Config; farmKey: FarmKey; clock: Clock },
  resources: ReleaseStack,
) {
  const agent = resources.use('fetch agent', createGuardedAgent(config.fetch), (opened) => opened.destroy());
  const own = resources.use('store agent', createGuardedAgent({ allowedAddresses: ANY_ADDRESS }), (opened) =>
    opened.destroy(),
  );
  return ({ spec }: PhaseClaim) => {
    const addresses = sourceAddresses({ farmKey, clock, guarded: agent, own, blobsUrl: spec.blobsUrl });
    return { agent, addresses };
  };
}

type OpenCluster = { readonly cluster: ClusterClient; readonly clusterConfig: ClusterConfig };

function openCluster(
  clusterConfig: ClusterConfig,
  { metrics, phase }: { metrics: FarmMetrics; phase: Phase },
): OpenCluster {
  const options = { clock: systemClock, observer: countTrouble(metrics, logger), userAgent: userAgent(phase) };
  return { cluster: new ClusterClient(clusterConfig, options), clusterConfig };
}

function clusterOf(clusters: ReadonlyMap<string, OpenCluster>, { cluster }: PhaseClaim): OpenCluster {
  const open = clusters.get(cluster);
  if (!open)
    throw new FarmError(
      'BrokenInvariant',
      `This worker does not know the cluster "${cluster}": name it in the option clusters of all processes.`,
    );
  return open;
}

/** A worker knows the token of its metrics and none of the HTTP API. */
async function openMetrics(
  config: Config,
  metrics: FarmMetrics,
  resources: ReleaseStack,
): Promise<{ server: Server; port: number }> {
  const { port, tokenFile } = config.metrics;
  const token = tokenFile === undefined ? undefined : loadToken(tokenFile);
  const server = await serveMetrics(metrics.registry, { host: config.http.host, port, token });
  resources.defer('metrics', () => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({ options: { phase: { type: 'string' }, concurrency: { type: 'string' } } });
    return optionsSchema.parse(values);
  } catch {
    process.stderr.write(`${USAGE}\n`);
    process.exit(64);
  }
}
