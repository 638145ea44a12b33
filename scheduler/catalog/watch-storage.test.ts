import { expect, test } from 'vitest';
import { configSchema } from '../../common/config/schema.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { readRoom } from '../../common/redis/storage-rooms.ts';
import type { FarmState } from '../../test/harness/farm-state.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { lookAtStorage } from './watch-storage.ts';

let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

const [clusterConfig] = configSchema.parse({ clusters: [{ name: 'lab', storageClass: 'fast' }] }).clusters;
assert(clusterConfig, 'There is a cluster.');

const GIB = 2 ** 30;

/** Looks at a cluster whose drivers report this. */
const look = async (capacities: readonly { readonly storageClassName: string; readonly capacity: string }[]) => {
  const list = async () => ({ items: capacities, resourceVersion: '1' });
  const cluster = { name: 'lab', list: list as unknown as ClusterClient['list'] };
  await lookAtStorage({ redis: farm.redis, clusterConfig, cluster });
  return readRoom(farm.redis, 'lab');
};

test('what is free adds up over the parts of a topology, of the class that disks are made in', async () => {
  const parts = [
    { storageClassName: 'fast', capacity: '3Gi' },
    { storageClassName: 'fast', capacity: '1024Mi' },
    { storageClassName: 'slow', capacity: '9Ti' },
  ];
  expect(await look(parts)).toEqual({ freeBytes: 4 * GIB, leastBytes: 2 * GIB });
  expect(await look(parts.slice(2))).toBeNull();
});
