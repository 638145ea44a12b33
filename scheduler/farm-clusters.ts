import type { Redis } from 'ioredis';
import type { Clock } from '../common/clock/clock.ts';
import { type ClusterRun, LiveClusters } from '../common/config/live-clusters.ts';
import type { ClusterConfig } from '../common/config/schema.ts';
import type { Limits } from '../common/contracts/builds.ts';
import type { Owners } from '../common/contracts/owners.ts';
import { ClusterClient } from '../common/kubernetes/cluster-client.ts';
import { userAgent } from '../common/kubernetes/user-agent.ts';
import type { Logger } from '../common/logging/logger.ts';
import { countTrouble } from '../common/metrics/count-trouble.ts';
import type { FarmMetrics } from '../common/metrics/farm-metrics.ts';
import type { Notices } from '../common/redis/notices.ts';
import type { BuildCluster } from './builds/build-service.ts';
import { networkOffer } from './catalog/cluster-network.ts';
import { watchCluster } from './catalog/watch-cluster.ts';
import { runDispatcher } from './dispatch/dispatcher.ts';
import type { PhaseQueues } from './dispatch/queues.ts';
import { forgetMeasures } from './measure.ts';

/** A cluster as the parts of a scheduler know it. */
export interface FarmCluster extends BuildCluster {
  readonly config: ClusterConfig;
  readonly client: ClusterClient;
}

/** Dependencies of what a scheduler does for a cluster. */
export interface FarmClustersOptions {
  readonly redis: Redis;
  readonly notices: Notices;
  readonly queues: PhaseQueues;
  readonly metrics: FarmMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owners: Owners;
  /** Label of the farm's objects. */
  readonly farm: string;
  /** Identity of this process. */
  readonly owner: string;
  readonly failureRetentionMs: number;
}

/** Dispatches to the clusters of the configuration and watches them. `open` is one array, of those that there are at the time. */
export function createFarmClusters(options: FarmClustersOptions): { open: readonly FarmCluster[]; live: LiveClusters } {
  const open: FarmCluster[] = [];
  return { open, live: new LiveClusters(async (config) => runCluster(options, config, open)) };
}

function runCluster(options: FarmClustersOptions, config: ClusterConfig, open: FarmCluster[]): ClusterRun {
  const { redis, queues, metrics, clock, logger, owner } = options;
  const { name, namespace, labels } = config;
  const client = new ClusterClient(config, {
    ...{ clock, observer: countTrouble(metrics, logger), userAgent: userAgent('scheduler') },
  });
  const network = () => networkOffer({ redis, cluster: client, clusterConfig: config });
  const cluster = { config, name, namespace, labels, limits: limitsOf(config), client, network };
  const stopping = new AbortController();
  queues.open(name);
  open.push(cluster);
  const loops = Promise.all([
    runDispatcher(options, cluster, stopping.signal),
    watchCluster({ ...options, cluster: client, clusterConfig: config }, owner, stopping.signal),
  ]);
  logger.info({ cluster: name }, 'The cluster is used');
  return {
    stop: async () => {
      open.splice(open.indexOf(cluster), 1);
      stopping.abort();
      await loops;
      await queues.close(name);
      forgetMeasures(metrics);
      logger.info({ cluster: name }, 'The cluster is not used any more');
    },
  };
}

function limitsOf({ limits }: ClusterConfig): Limits {
  return { imports: limits.imports, vms: limits.vms, cpu: limits.cpu, memoryBytes: limits.memory };
}
