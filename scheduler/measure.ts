import type { Redis } from 'ioredis';
import type { Limits } from '../common/contracts/builds.ts';
import { PHASES } from '../common/contracts/phases.ts';
import type { FarmMetrics } from '../common/metrics/farm-metrics.ts';
import type { NoticeListener } from '../common/redis/notices.ts';
import { readWorkers } from '../common/redis/presence.ts';
import { readUsage } from '../common/redis/slots.ts';
import type { PhaseQueues } from './dispatch/queues.ts';

/** What is measured. */
export interface MeasureOptions {
  readonly redis: Redis;
  readonly queues: PhaseQueues;
  readonly clusters: readonly { readonly name: string; readonly limits: Limits }[];
}

/** Counts builds and modules that end. One process of the farm listens, so that none is counted twice. */
export function countEnds(metrics: FarmMetrics): NoticeListener {
  return (notice) => {
    if (notice.kind === 'finished') metrics.builds.inc({ outcome: notice.outcome });
    if (notice.kind !== 'ended' || notice.outcome === 'again') return;
    metrics.modules.inc({ outcome: notice.outcome });
    metrics.moduleDuration.observe({ outcome: notice.outcome }, notice.durationMs / 1000);
  };
}

/** Reads the farm's state into its gauges; call before metrics are rendered. @throws RedisUnavailable */
export async function measureFarm(metrics: FarmMetrics, { redis, queues, clusters }: MeasureOptions): Promise<void> {
  for (const { name: cluster, limits } of clusters) {
    const usage = await readUsage(redis, cluster);
    const workers = await readWorkers(redis, cluster);
    for (const [resource, used, limit] of [
      ['imports', usage.imports, limits.imports],
      ['vms', usage.vms, limits.vms],
      ['cpu', usage.cpu, limits.cpu],
      ['memory', usage.memoryBytes, limits.memoryBytes],
    ] as const) {
      metrics.slotsUsed.set({ cluster, resource }, used);
      metrics.slotsLimit.set({ cluster, resource }, limit);
    }
    for (const phase of PHASES) {
      const depth = await queues.depth(phase, cluster);
      metrics.queueDepth.set({ phase, cluster, state: 'waiting' }, depth.waiting);
      metrics.queueDepth.set({ phase, cluster, state: 'active' }, depth.active);
      const present = workers.filter((worker) => worker.phase === phase);
      metrics.workerCapacity.set(
        { phase, cluster },
        present.reduce((sum, worker) => sum + worker.capacity, 0),
      );
    }
  }
}
