import { Router } from 'express';
import type { Redis } from 'ioredis';
import type { ClusterStorage, StorageView } from '../../common/contracts/storage.ts';
import { readMemory } from '../../common/redis/memory.ts';

/** What the routes read. */
export interface StorageRoutesOptions {
  readonly redis: Redis;
  /** What the farm has of the storage of each of its clusters. */
  measureStorage(): Promise<ClusterStorage[]>;
}

/** What the farm has of the storage of its clusters. */
export function storageRoutes({ redis, measureStorage }: StorageRoutesOptions): Router {
  const router = Router();
  router.get('/storage', async (_request, response) => {
    const [clusters, { usedBytes, limitBytes }] = await Promise.all([measureStorage(), readMemory(redis)]);
    const view: StorageView = { clusters, records: { usedBytes, limitBytes } };
    response.json(view);
  });
  return router;
}
