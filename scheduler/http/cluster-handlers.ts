import type { Redis } from 'ioredis';
import { FarmError } from '../../common/errors/farm-error.ts';
import { type ConfiguredCluster, changeControl } from '../../common/redis/cluster-control.ts';
import type { PhaseQueues } from '../dispatch/queues.ts';
import { audit } from './audit.ts';
import { clusterView } from './cluster-views.ts';
import type { Handlers } from './handler.ts';

/** Dependencies of the handlers. */
export interface ClusterHandlersOptions {
  readonly redis: Redis;
  readonly queues: PhaseQueues;
  readonly clusters: readonly ConfiguredCluster[];
}

/** The clusters of the farm. */
export function clusterHandlers({ redis, queues, clusters }: ClusterHandlersOptions) {
  return {
    async listClusters() {
      const views = await Promise.all(clusters.map((cluster) => clusterView({ redis, queues }, cluster)));
      return { status: 200, body: { clusters: views } };
    },

    async changeCluster({ params, body, who, response }) {
      const cluster = clusters.find(({ name }) => name === params.cluster);
      if (!cluster) {
        const known = clusters.map(({ name }) => name).join(', ');
        throw new FarmError('NotFound', `Cluster "${params.cluster}" not found: this farm has ${known}.`);
      }
      await changeControl(redis, cluster.name, body, who.name);
      audit(response, { outcome: 'changed', subject: cluster.name });
      return { status: 200, body: await clusterView({ redis, queues }, cluster) };
    },
  } satisfies Partial<Handlers>;
}
