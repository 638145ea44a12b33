import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import { LABELS } from '../../common/contracts/object-names.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { haltMachines, teardownBuild } from '../../common/kubernetes/teardown.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { readWorkState } from '../../common/redis/builds.ts';
import type { Notices } from '../../common/redis/notices.ts';
import { createAlarm } from '../dispatch/alarm.ts';
import { type FoundGeneration, sweepVerdict } from './sweep-verdict.ts';

/** Looks this often though nobody said that a work has ended. */
const LOOK_AGAIN_MS = 60_000;
const TEARDOWN_MS = 180_000;
const CONCURRENCY = 4;

/** Kinds of which a generation has at least one object as long as anything of it is left. */
const KINDS = [
  RESOURCES.machines,
  RESOURCES.instances,
  RESOURCES.pods,
  RESOURCES.dataVolumes,
  RESOURCES.claims,
  RESOURCES.secrets,
  RESOURCES.configMaps,
  RESOURCES.egressGateways,
  RESOURCES.networkAttachments,
  RESOURCES.subnets,
  RESOURCES.vpcs,
] as const;

/** What the parts that watch a cluster work with. */
export interface ClusterWatchOptions {
  readonly redis: Redis;
  readonly notices: Notices;
  readonly cluster: ClusterClient;
  /** Name of the farm, in the labels of its objects; unique among the farms of a cluster. */
  readonly farm: string;
  readonly failureRetentionMs: number;
  readonly metrics: FarmMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Removes what belongs to no living work: at every end of a work, when the retention of a failed one is over, and slowly
 * anyway. Level-triggered: what one look cannot remove the next one finds again. Ends with `signal`.
 */
export async function sweepOrphans(options: ClusterWatchOptions, signal: AbortSignal): Promise<void> {
  const { notices, cluster, clock, logger } = options;
  const alarm = createAlarm(clock);
  const stop = notices.listen((notice) => {
    if (notice.kind === 'reconnected' || (notice.kind === 'ended' && notice.cluster === cluster.name)) alarm.ring();
  });
  try {
    while (!signal.aborted) {
      alarm.reset();
      let nextMs = LOOK_AGAIN_MS;
      try {
        nextMs = Math.min(nextMs, await sweepOnce(options, signal));
      } catch (error) {
        if (!signal.aborted) logger.warn({ err: error, cluster: cluster.name }, 'Sweeping has trouble');
      }
      await alarm.within(nextMs, signal);
    }
  } finally {
    stop();
  }
}

/** One look. Returns when the next removal is due, in ms from now (Infinity: none). */
export async function sweepOnce(options: ClusterWatchOptions, signal: AbortSignal): Promise<number> {
  const { redis, cluster, farm, clock, failureRetentionMs, metrics, logger } = options;
  const moment = { now: clock.now(), failureRetentionMs };
  let dueMs = Number.POSITIVE_INFINITY;
  const jobs = (await findGenerations(options, signal)).map((identity) => async () => {
    const verdict = sweepVerdict(identity, await readWorkState(redis, identity.layerBuild), moment);
    if (verdict.action === 'keep') return;
    const teardown = { farm, identity, signal, deadlineMs: TEARDOWN_MS };
    if (verdict.action === 'halt') {
      dueMs = Math.min(dueMs, Math.max(1, verdict.removeAt - moment.now));
      return haltMachines(cluster, teardown);
    }
    await teardownBuild(cluster, teardown);
    metrics.swept.inc({ cluster: cluster.name, why: verdict.why });
    logger.info({ ...identity, cluster: cluster.name, why: verdict.why }, 'Build objects removed');
  });
  const failures: unknown[] = [];
  while (jobs.length > 0) {
    const results = await Promise.allSettled(jobs.splice(0, CONCURRENCY).map((job) => job()));
    for (const result of results) if (result.status === 'rejected') failures.push(result.reason);
  }
  if (failures.length > 0) throw new AggregateError(failures, 'Some objects could not be removed.');
  return dueMs;
}

/** The generations that have objects which exist for building only. */
async function findGenerations(
  { cluster, farm }: ClusterWatchOptions,
  signal: AbortSignal,
): Promise<FoundGeneration[]> {
  const found = new Map<string, FoundGeneration>();
  const labels = `${LABELS.farm}=${farm},${LABELS.layerBuild},${LABELS.role} notin (layer,template,source)`;
  for (const kind of KINDS) {
    const { items } = await cluster.list(kind, { labels, signal });
    for (const { metadata } of items) {
      const layerBuild = metadata?.labels?.[LABELS.layerBuild] ?? '';
      const generation = Number(metadata?.labels?.[LABELS.generation] ?? 0);
      found.set(`${layerBuild}/${generation}`, { layerBuild, generation });
    }
  }
  return [...found.values()];
}
