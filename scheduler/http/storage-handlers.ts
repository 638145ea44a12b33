import type { Redis } from 'ioredis';
import type { ClusterStorage } from '../../common/contracts/storage.ts';
import { readMemory } from '../../common/redis/memory.ts';
import type { Handlers } from './handler.ts';

/** Dependencies of the handlers. */
export interface StorageHandlersOptions {
  readonly redis: Redis;
  /** Storage of the farm on each of its clusters. */
  measureStorage(): Promise<ClusterStorage[]>;
}

/** Storage of the farm on its clusters. */
export function storageHandlers({ redis, measureStorage }: StorageHandlersOptions) {
  return {
    async readStorage() {
      const [clusters, { usedBytes, limitBytes }] = await Promise.all([measureStorage(), readMemory(redis)]);
      return { status: 200, body: { clusters, records: { usedBytes, limitBytes } } };
    },
  } satisfies Partial<Handlers>;
}
