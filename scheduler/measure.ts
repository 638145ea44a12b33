import type { Redis } from 'ioredis';
import type { Clock } from '../common/clock/clock.ts';
import { PHASES } from '../common/contracts/phases.ts';
import type { Logger } from '../common/logging/logger.ts';
import type { FarmMetrics } from '../common/metrics/farm-metrics.ts';
import { type ConfiguredCluster, readControl } from '../common/redis/cluster-control.ts';
import { countHandbuilds } from '../common/redis/handbuilds.ts';
import { readMemory } from '../common/redis/memory.ts';
import type { NoticeListener } from '../common/redis/notices.ts';
import { readWorkers } from '../common/redis/presence.ts';
import { readTrouble, readUsage, readWaiting } from '../common/redis/slots.ts';
import { readRoom } from '../common/redis/storage-rooms.ts';
import type { PhaseQueues } from './dispatch/queues.ts';

/** Input of the measurement. */
export interface MeasureOptions {
  readonly redis: Redis;
  readonly queues: PhaseQueues;
  readonly clusters: readonly ConfiguredCluster[];
  readonly clock: Clock;
  readonly logger: Logger;
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

/**
 * Reads the farm's state into its gauges; call before metrics are rendered. Without Redis the only known value is
 * that: old values would look like new ones.
 */
export async function measureFarm(metrics: FarmMetrics, options: MeasureOptions): Promise<void> {
  try {
    await measureRedis(metrics, options.redis);
    for (const cluster of options.clusters) await measureCluster(metrics, options, cluster);
    metrics.redisUp.set(1);
  } catch (error) {
    options.logger.warn({ err: error }, "The farm's state could not be measured");
    forgetMeasures(metrics);
    metrics.redisUp.set(0);
  }
}

async function measureRedis(metrics: FarmMetrics, redis: Redis): Promise<void> {
  const memory = await readMemory(redis);
  metrics.redisMemoryUsed.set(memory.usedBytes);
  metrics.redisMemoryLimit.set(memory.limitBytes);
  metrics.redisNoEviction.set(memory.policy === 'noeviction' ? 1 : 0);
}

async function measureCluster(
  metrics: FarmMetrics,
  options: MeasureOptions,
  configured: ConfiguredCluster,
): Promise<void> {
  const { redis } = options;
  const { name: cluster } = configured;
  await measureSlots(metrics, redis, configured);
  const people = await countHandbuilds(redis, cluster);
  metrics.handbuildsWaiting.set({ cluster }, people.waiting);
  metrics.clonesRunning.set({ cluster }, people.running);
  metrics.clusterHealthy.set({ cluster }, (await readTrouble(redis, cluster)) === null ? 1 : 0);
  const room = await readRoom(redis, cluster);
  if (room === null) for (const gauge of [metrics.storageFree, metrics.storageLeast]) gauge.remove({ cluster });
  else {
    metrics.storageFree.set({ cluster }, room.freeBytes);
    metrics.storageLeast.set({ cluster }, room.leastBytes);
  }
  await measureQueues(metrics, options, cluster);
}

/** What the farm uses of a cluster, and what waits for it. */
async function measureSlots(metrics: FarmMetrics, redis: Redis, configured: ConfiguredCluster): Promise<void> {
  const { name: cluster } = configured;
  const { limits } = await readControl(redis, configured);
  const usage = await readUsage(redis, cluster);
  const waiting = await readWaiting(redis, cluster);
  for (const [resource, used, limit] of [
    ['imports', usage.imports, limits.imports],
    ['vms', usage.vms, limits.vms],
    ['cpu', usage.cpu, limits.cpu],
    ['memory', usage.memoryBytes, limits.memoryBytes],
  ] as const) {
    metrics.slotsUsed.set({ cluster, resource }, used);
    metrics.slotsLimit.set({ cluster, resource }, limit);
  }
  metrics.admissionWaiting.set({ cluster, kind: 'imports' }, waiting.imports);
  metrics.admissionWaiting.set({ cluster, kind: 'modules' }, waiting.modules);
}

/** Phase jobs of a cluster, and the workers that take them. */
async function measureQueues(
  metrics: FarmMetrics,
  { redis, queues, clock }: MeasureOptions,
  cluster: string,
): Promise<void> {
  const workers = await readWorkers(redis, cluster);
  for (const phase of PHASES) {
    const depth = await queues.depth(phase, cluster);
    const oldest = depth.waiting === 0 ? undefined : await queues.oldest(phase, cluster);
    metrics.queueDepth.set({ phase, cluster, state: 'waiting' }, depth.waiting);
    metrics.queueDepth.set({ phase, cluster, state: 'active' }, depth.active);
    metrics.queueOldest.set({ phase, cluster }, oldest === undefined ? 0 : Math.max(0, clock.now() - oldest) / 1000);
    const present = workers.filter((worker) => worker.phase === phase);
    const capacity = present.reduce((sum, worker) => sum + worker.capacity, 0);
    metrics.workerCapacity.set({ phase, cluster }, capacity);
  }
}

/** Forgets what was measured: of a cluster that is gone, too. */
export function forgetMeasures(metrics: FarmMetrics): void {
  for (const gauge of [metrics.redisMemoryUsed, metrics.redisMemoryLimit, metrics.redisNoEviction]) gauge.remove();
  for (const gauge of [
    metrics.slotsUsed,
    metrics.slotsLimit,
    metrics.admissionWaiting,
    metrics.handbuildsWaiting,
    metrics.clonesRunning,
    metrics.clusterHealthy,
    metrics.storageFree,
    metrics.storageLeast,
    metrics.queueDepth,
    metrics.queueOldest,
    metrics.workerCapacity,
  ]) {
    gauge.reset();
  }
}
