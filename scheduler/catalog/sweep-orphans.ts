import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { removedKinds } from '../../common/kubernetes/made-kinds.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { haltMachines, teardownBuild } from '../../common/kubernetes/teardown.ts';
import { unfinishedClones } from '../../common/kubernetes/unfinished-clones.ts';
import { lookAgain, type Wake } from '../../common/lifecycle/look-again.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { readLayerBuildState } from '../../common/redis/layer-builds.ts';
import type { Notices } from '../../common/redis/notices.ts';
import { eachOf } from '../builds/each-of.ts';
import { resolveNetwork } from './cluster-network.ts';
import { type Removal, Removals } from './removals.ts';
import { type FoundGeneration, type SweepVerdict, sweepVerdict } from './sweep-verdict.ts';

/** Looks this often without a notice that a layer build has ended. */
const LOOK_AGAIN_MS = 60_000;
/** On each wait of a removal, which begins again later. */
const TEARDOWN_MS = 60_000;
/** More layer builds than this are not named in a request; everything is looked at instead. */
const MOST_NAMED = 50;

/** Kinds of a finished layer; templates first, because they name the snapshots. */
const LAYER_KINDS: readonly Resource<KubernetesObject>[] = [RESOURCES.machines, RESOURCES.snapshots];

/** Dependencies of the parts that watch a cluster. */
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
 * Removes what belongs to no living layer build: at once when a layer build has ended (a layer is published when it is captured, and what
 * was needed to build it goes afterwards), when the retention of a failed one is over, and slowly anyway. Level-triggered:
 * a later look retries failed removals. Ends with `signal`.
 */
export async function sweepOrphans(options: ClusterWatchOptions, signal: AbortSignal): Promise<void> {
  const { notices, cluster, clock, logger } = options;
  const fields = { cluster: cluster.name };
  const ended: string[] = [];
  let everythingAt = 0;
  let lookSoon = () => {};
  const removals = new Removals({
    clock,
    onFailure: (error) => {
      if (!signal.aborted) logger.warn({ err: error, ...fields }, 'Removing build objects failed; retrying');
      lookSoon();
    },
  });
  const hear: Wake = (ring) => {
    lookSoon = ring;
    const stop = notices.listen((notice) => {
      if (notice.kind === 'reconnected') everythingAt = 0;
      else if (notice.kind === 'ended' && notice.cluster === cluster.name) ended.push(notice.layerBuild);
      else return;
      ring();
    });
    signal.addEventListener('abort', stop, { once: true });
  };
  const lookAtDue = async () => {
    const layerBuilds = ended.splice(0);
    const isFull = clock.now() >= everythingAt || layerBuilds.length > MOST_NAMED;
    if (isFull) everythingAt = clock.now() + LOOK_AGAIN_MS;
    try {
      const dueMs = await look(options, { removals, ...(isFull ? {} : { layerBuilds }) }, signal);
      everythingAt = Math.min(everythingAt, clock.now() + dueMs, removals.nextAt());
      return Math.max(1, everythingAt - clock.now());
    } catch (error) {
      // The next look finds these layer builds among everything.
      everythingAt = 0;
      throw error;
    }
  };
  const loop = { what: 'Sweeping orphans', fields, look: lookAtDue, everyMs: LOOK_AGAIN_MS, wake: [hear] };
  await lookAgain({ ...loop, clock, logger }, signal).finally(() => removals.idle());
}

/** One look at everything, with its removals. Returns when the next one is due, in ms from now (Infinity: none). */
export async function sweepOnce(options: ClusterWatchOptions, signal: AbortSignal): Promise<number> {
  const failures: unknown[] = [];
  const removals = new Removals({ clock: options.clock, onFailure: (error) => failures.push(error) });
  const dueMs = await look(options, { removals }, signal);
  await removals.idle();
  if (failures.length > 0) throw new AggregateError(failures, 'Some objects could not be removed.');
  return dueMs;
}

interface Look {
  /** They continue beside the looks: a cluster that is slow to let go of one holds up no other. */
  readonly removals: Removals;
  /** The layer builds that are looked at. @defaultValue all of the farm */
  readonly layerBuilds?: readonly string[];
}

/** Halts machines that must not run, and begins to remove obsolete objects. Returns as `sweepOnce`. */
async function look(
  options: ClusterWatchOptions,
  { removals, layerBuilds }: Look,
  signal: AbortSignal,
): Promise<number> {
  if (layerBuilds?.length === 0) return Number.POSITIVE_INFINITY;
  const { redis, clock, failureRetentionMs } = options;
  const moment = { now: clock.now(), failureRetentionMs };
  let dueMs = Number.POSITIVE_INFINITY;
  const among = layerBuilds ? `${LABELS.layerBuild} in (${layerBuilds.join(',')})` : LABELS.layerBuild;
  const building = `${LABELS.role} notin (layer,template,source),${among}`;
  const network = await resolveNetwork(options, signal);
  // A generation has at least one of them as long as anything of it is left.
  const kinds = removedKinds(network).map(({ resource }) => resource);
  await eachOf(await findGenerations(options, { kinds, labels: building }, signal), async (identity) => {
    const verdict = sweepVerdict(identity, await readLayerBuildState(redis, identity.layerBuild), moment);
    if (verdict.action === 'keep') return;
    if (verdict.action === 'halt') dueMs = Math.min(dueMs, Math.max(1, verdict.removeAt - moment.now));
    removals.begin(identity, removalOf(options, { identity, network, verdict }, signal));
  });
  await sweepLayers(options, among, signal);
  return dueMs;
}

interface Judged {
  readonly identity: FoundGeneration;
  readonly network: NetworkKind;
  readonly verdict: Exclude<SweepVerdict, { action: 'keep' }>;
}

function removalOf(
  { cluster, farm, metrics, logger }: ClusterWatchOptions,
  { identity, network, verdict }: Judged,
  signal: AbortSignal,
): Removal {
  const teardown = { farm, identity, network, signal, deadlineMs: TEARDOWN_MS };
  return {
    halt: async () => {
      const isHalted = await haltMachines(cluster, teardown);
      if (isHalted || verdict.action === 'remove') return;
      throw new FarmError(
        'ClusterUnavailable',
        `A machine of layer build ${identity.layerBuild} is just being started`,
      );
    },
    remove: async () => {
      if (verdict.action === 'halt') return;
      const { why } = verdict;
      await teardownBuild(cluster, teardown);
      metrics.swept.inc({ cluster: cluster.name, why });
      logger.info({ ...identity, cluster: cluster.name, why }, 'Build objects removed');
    },
  };
}

/**
 * Removes snapshots and templates of modules that were not finished. Those of finished ones are never touched here, and
 * they outlive the records of their layer builds: unknown ones are kept.
 */
async function sweepLayers(options: ClusterWatchOptions, among: string, signal: AbortSignal): Promise<void> {
  const { redis, cluster, farm, clock, failureRetentionMs } = options;
  const roles = `${LABELS.role} in (layer,template)`;
  const captured = { kinds: LAYER_KINDS, labels: `${roles},${among}` };
  for (const identity of await findGenerations(options, captured, signal)) {
    const stored = await readLayerBuildState(redis, identity.layerBuild);
    const verdict = sweepVerdict(identity, stored, { now: clock.now(), failureRetentionMs });
    if (verdict.action !== 'remove' || verdict.why === 'orphan' || verdict.why === 'succeeded') continue;
    const { layerBuild, generation } = identity;
    const own = `${LABELS.farm}=${farm},${LABELS.layerBuild}=${layerBuild},${LABELS.generation}=${generation}`;
    for (const kind of LAYER_KINDS) {
      const { items } = await cluster.list(kind, { labels: `${own},${roles}`, signal });
      const names = items.map(({ metadata }) => metadata?.name ?? '');
      const cloned =
        kind === RESOURCES.snapshots && names.length > 0 ? await unfinishedClones(cluster, signal) : new Set();
      for (const name of names) if (!cloned.has(name)) await cluster.delete(kind, name, { signal });
    }
  }
}

interface Selection {
  readonly kinds: readonly Resource<KubernetesObject>[];
  /** A label selector beside the farm's own. */
  readonly labels: string;
}

/** The generations that have objects of a selection. */
async function findGenerations(
  { cluster, farm }: ClusterWatchOptions,
  { kinds, labels }: Selection,
  signal: AbortSignal,
): Promise<FoundGeneration[]> {
  const found = new Map<string, FoundGeneration>();
  const own = `${LABELS.farm}=${farm},${labels}`;
  for (const { items } of await Promise.all(kinds.map((kind) => cluster.list(kind, { labels: own, signal })))) {
    for (const { metadata } of items) {
      const layerBuild = metadata?.labels?.[LABELS.layerBuild] ?? '';
      const generation = Number(metadata?.labels?.[LABELS.generation] ?? 0);
      found.set(`${layerBuild}/${generation}`, { layerBuild, generation });
    }
  }
  return [...found.values()];
}
