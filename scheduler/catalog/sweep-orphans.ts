import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import { LABELS } from '../../common/contracts/object-names.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { haltMachines, teardownBuild } from '../../common/kubernetes/teardown.ts';
import { createAlarm } from '../../common/lifecycle/alarm.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { readWorkState } from '../../common/redis/builds.ts';
import type { Notices } from '../../common/redis/notices.ts';
import { type FoundGeneration, sweepVerdict } from './sweep-verdict.ts';

/** Looks this often though nobody said that a work has ended. */
const LOOK_AGAIN_MS = 60_000;
const TEARDOWN_MS = 180_000;
const CONCURRENCY = 4;

/** Kinds of which a generation has at least one object as long as anything of it is left. */
const KINDS: readonly Resource<KubernetesObject>[] = [
  RESOURCES.machines,
  RESOURCES.instances,
  RESOURCES.pods,
  RESOURCES.dataVolumes,
  RESOURCES.claims,
  RESOURCES.secrets,
  RESOURCES.egressGateways,
  RESOURCES.networkAttachments,
  RESOURCES.subnets,
  RESOURCES.vpcs,
];

/** What a finished layer consists of; templates first, because they name the snapshots. */
const LAYER_KINDS: readonly Resource<KubernetesObject>[] = [RESOURCES.machines, RESOURCES.snapshots];

/** What the parts that watch a cluster work with. */
export interface ClusterWatchOptions {
  readonly redis: Redis;
  readonly notices: Notices;
  readonly cluster: ClusterClient;
  readonly clusterConfig: ClusterConfig;
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
  const building = `${LABELS.role} notin (layer,template,source)`;
  const jobs = (await findGenerations(options, { kinds: KINDS, roles: building }, signal)).map(
    (identity) => async () => {
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
    },
  );
  jobs.push(() => sweepLayers(options, signal));
  const failures: unknown[] = [];
  while (jobs.length > 0) {
    const results = await Promise.allSettled(jobs.splice(0, CONCURRENCY).map((job) => job()));
    for (const result of results) if (result.status === 'rejected') failures.push(result.reason);
  }
  if (failures.length > 0) throw new AggregateError(failures, 'Some objects could not be removed.');
  return dueMs;
}

/**
 * Removes snapshots and templates of modules that were not finished. Those of finished ones are never touched here, and
 * they outlive the records of their works: what the farm does not know is kept.
 */
async function sweepLayers(options: ClusterWatchOptions, signal: AbortSignal): Promise<void> {
  const { redis, cluster, farm, clock, failureRetentionMs } = options;
  const captured = { kinds: LAYER_KINDS, roles: `${LABELS.role} in (layer,template)` };
  for (const identity of await findGenerations(options, captured, signal)) {
    const work = await readWorkState(redis, identity.layerBuild);
    const verdict = sweepVerdict(identity, work, { now: clock.now(), failureRetentionMs });
    if (verdict.action !== 'remove' || verdict.why === 'orphan' || verdict.why === 'succeeded') continue;
    const { layerBuild, generation } = identity;
    const own = `${LABELS.farm}=${farm},${LABELS.layerBuild}=${layerBuild},${LABELS.generation}=${generation}`;
    for (const kind of LAYER_KINDS) {
      const { items } = await cluster.list(kind, { labels: `${own},${captured.roles}`, signal });
      for (const { metadata } of items) await cluster.delete(kind, metadata?.name ?? '', { signal });
    }
  }
}

interface Selection {
  readonly kinds: readonly Resource<KubernetesObject>[];
  /** Part of a label selector. */
  readonly roles: string;
}

/** The generations that have objects of a selection. */
async function findGenerations(
  { cluster, farm }: ClusterWatchOptions,
  { kinds, roles }: Selection,
  signal: AbortSignal,
): Promise<FoundGeneration[]> {
  const found = new Map<string, FoundGeneration>();
  for (const kind of kinds) {
    const { items } = await cluster.list(kind, {
      labels: `${LABELS.farm}=${farm},${LABELS.layerBuild},${roles}`,
      signal,
    });
    for (const { metadata } of items) {
      const layerBuild = metadata?.labels?.[LABELS.layerBuild] ?? '';
      const generation = Number(metadata?.labels?.[LABELS.generation] ?? 0);
      found.set(`${layerBuild}/${generation}`, { layerBuild, generation });
    }
  }
  return [...found.values()];
}
