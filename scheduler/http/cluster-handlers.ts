import type { Redis } from 'ioredis';
import type { PhaseQueues } from '../dispatch/queues.ts';
import { clusterView, type KnownCluster } from './cluster-views.ts';
import type { Handlers } from './handler.ts';

/** What the handlers read. */
export interface ClusterHandlersOptions {
  readonly redis: Redis;
  readonly queues: PhaseQueues;
  readonly clusters: readonly KnownCluster[];
}

/** The clusters of the farm. */
export function clusterHandlers({ redis, queues, clusters }: ClusterHandlersOptions) {
  return {
    async listClusters() {
      const views = await Promise.all(clusters.map((cluster) => clusterView({ redis, queues }, cluster)));
      return { status: 200, body: { clusters: views } };
    },
  } satisfies Partial<Handlers>;
}
