import { lookAgain } from '../../common/lifecycle/look-again.ts';
import { reportRoom } from '../../common/redis/storage-rooms.ts';
import { readFree } from './measure-storage.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

/** The publisher of capacities polls drivers once a minute, so shorter intervals are useless. */
const LOOK_AGAIN_MS = 30_000;

/** Records in Redis the free storage of a cluster for new volumes, so that builds are refused before it is full. Ends with `signal`. */
export function watchStorage(options: ClusterWatchOptions, signal: AbortSignal): Promise<void> {
  const { cluster, clock, logger } = options;
  const look = async () => {
    await lookAtStorage(options);
    return null;
  };
  const fields = { cluster: cluster.name };
  return lookAgain({ what: 'Reading free storage', fields, look, everyMs: LOOK_AGAIN_MS, clock, logger }, signal);
}

/** One look. @throws ClusterUnavailable, RedisUnavailable */
export async function lookAtStorage({
  redis,
  cluster,
  clusterConfig: { storageClass, leastFreeStorage: leastBytes },
}: Pick<ClusterWatchOptions, 'redis' | 'clusterConfig'> & {
  readonly cluster: Pick<ClusterWatchOptions['cluster'], 'name' | 'list'>;
}): Promise<void> {
  const freeBytes = await readFree(cluster, storageClass);
  await reportRoom(redis, cluster.name, freeBytes === null ? null : { freeBytes, leastBytes });
}
