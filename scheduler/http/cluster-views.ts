import type { Redis } from 'ioredis';
import type { ClusterView } from '../../common/contracts/builds.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { type ConfiguredCluster, readControl } from '../../common/redis/cluster-control.ts';
import { readFindings } from '../../common/redis/findings.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { readWorkers } from '../../common/redis/presence.ts';
import { readRedis } from '../../common/redis/scripts.ts';
import { readTrouble, readUsage, type Slot } from '../../common/redis/slots.ts';
import { readRoom } from '../../common/redis/storage-rooms.ts';
import type { PhaseQueues } from '../dispatch/queues.ts';

/** A cluster in `GET /clusters`. @throws RedisUnavailable */
export async function clusterView(
  { redis, queues }: { readonly redis: Redis; readonly queues: PhaseQueues },
  cluster: ConfiguredCluster,
): Promise<ClusterView> {
  const { name } = cluster;
  const [{ mode, changed, limits, labels }, usage, message, findings, storage, workers, depths] = await Promise.all([
    readControl(redis, cluster),
    readUsage(redis, name),
    readTrouble(redis, name),
    readFindings(redis, name),
    readRoom(redis, name),
    readWorkers(redis, name),
    Promise.all(PHASES.map(async (phase) => ({ phase, ...(await queues.depth(phase, name)) }))),
  ]);
  return {
    name,
    healthy: message === null,
    message,
    findings,
    ...{ mode, changed, labels, limits },
    configured: cluster.limits,
    inUse: { imports: usage.imports, vms: usage.vms, cpu: usage.cpu, memoryBytes: usage.memoryBytes },
    storage,
    holders: await holdersOf(redis, usage.slots),
    queues: depths,
    workers: PHASES.map((phase) => {
      const present = workers.filter((worker) => worker.phase === phase);
      return { phase, processes: present.length, capacity: present.reduce((sum, worker) => sum + worker.capacity, 0) };
    }),
  };
}

async function holdersOf(redis: Redis, slots: readonly Slot[]): Promise<ClusterView['holders']> {
  const counts = new Map<string, number>();
  for (const { layerBuild } of slots) counts.set(layerBuild, (counts.get(layerBuild) ?? 0) + 1);
  return Promise.all(
    [...counts].map(async ([layerBuild, vms]) => {
      const module = await readRedis(redis.hget(KEYS.layerBuild(layerBuild), 'module'));
      return { layerBuild, module: module ?? '', vms };
    }),
  );
}
