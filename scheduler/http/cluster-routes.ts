import { Router } from 'express';
import type { Redis } from 'ioredis';
import type { PhaseQueues } from '../dispatch/queues.ts';
import { clusterView, type KnownCluster } from './cluster-views.ts';

/** What the routes read. */
export interface ClusterRoutesOptions {
  readonly redis: Redis;
  readonly queues: PhaseQueues;
  readonly clusters: readonly KnownCluster[];
}

/** The clusters of the farm. */
export function clusterRoutes({ redis, queues, clusters }: ClusterRoutesOptions): Router {
  const router = Router();

  router.get('/clusters', async (_request, response) => {
    response.json({ clusters: await Promise.all(clusters.map((cluster) => clusterView({ redis, queues }, cluster))) });
  });
  return router;
}
