import type { Redis } from 'ioredis';
import type { ClusterStorage } from '../../common/contracts/storage.ts';
import { readMemory } from '../../common/redis/memory.ts';
import type { Handlers } from './handler.ts';

/** What the handlers read. */
export interface StorageHandlersOptions {
  readonly redis: Redis;
  /** What the farm has of the storage of each of its clusters. */
  measureStorage(): Promise<ClusterStorage[]>;
}

/** What the farm has of the storage of its clusters. */
export function storageHandlers({ redis, measureStorage }: StorageHandlersOptions) {
  return {
    async readStorage() {
      const [clusters, { usedBytes, limitBytes }] = await Promise.all([measureStorage(), readMemory(redis)]);
      return { status: 200, body: { clusters, records: { usedBytes, limitBytes } } };
    },
  } satisfies Partial<Handlers>;
}
