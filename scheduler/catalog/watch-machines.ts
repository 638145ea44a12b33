import { FarmError } from '../../common/errors/farm-error.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { watchObjects } from '../../common/kubernetes/watch-objects.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import { atNotices } from '../../common/redis/notices.ts';
import { readUsage, reportCluster, reportTrouble } from '../../common/redis/slots.ts';
import { buildMachines, launcherPods, observeMachines, traceOf } from './observe-machines.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

const LOOK_AGAIN_MS = 60_000;

/** `onReached` is called when the cluster answers again after an outage. */
export interface MachineWatchOptions extends ClusterWatchOptions {
  readonly onReached?: () => void;
}

/**
 * Frees the slots of machines that are gone, ends clones that powered off, and reports whether the cluster answers. The watch only triggers a look:
 * slots are freed by a fresh list that was asked for after the farm was done with the machine, because a watch may lag
 * behind a machine that was started a moment ago. Ends with `signal`.
 */
export async function watchMachines(options: MachineWatchOptions, signal: AbortSignal): Promise<void> {
  const { notices, cluster, clock, logger } = options;
  const reportTrouble = troubleReporter(options);
  const look = async () => {
    try {
      await reportOnce(options, signal);
    } catch (error) {
      if (error instanceof FarmError && error.code === 'ClusterUnavailable') await reportTrouble(error.message);
      throw error;
    }
    await reportTrouble(null);
    return null;
  };
  const noticed = atNotices(notices, (notice) => notice.kind === 'leaving' && notice.cluster === cluster.name);
  const wake = [noticed, (ring: () => void) => ringOnChanges(options, ring, signal)];
  const loop = { what: 'Listing VMs', fields: { cluster: cluster.name }, look, everyMs: LOOK_AGAIN_MS, wake };
  await lookAgain({ ...loop, clock, logger }, signal);
}

/** One look at the cluster. Returns how many slots were freed. */
export async function reportOnce({ redis, cluster, farm }: ClusterWatchOptions, signal: AbortSignal): Promise<number> {
  const { slots } = await readUsage(redis, cluster.name);
  const leaving = slots.filter((slot) => slot.stage === 'leaving');
  const running = slots.filter((slot) => slot.stage === 'runs');
  return reportCluster(redis, cluster.name, {
    ...{ leaving, running },
    observed: await observeMachines(cluster, farm, signal),
  });
}

/** Reports to the farm whether the cluster answers: null, or its error. */
type TroubleReporter = (trouble: string | null) => Promise<void>;

/** Reports changes only. A failed report is repeated at the next look. */
function troubleReporter({ redis, cluster, logger, onReached }: MachineWatchOptions): TroubleReporter {
  let reported: string | null | undefined;
  return async (trouble) => {
    if (trouble === reported) return;
    try {
      await reportTrouble(redis, cluster.name, trouble);
      if (trouble === null && reported !== undefined) onReached?.();
      reported = trouble;
    } catch (error) {
      logger.debug({ err: error }, 'Reporting the state of a cluster failed; retrying');
    }
  };
}

/** Rings when a machine's start was asked for or carried out, its VMI or its pod came, continued or went. */
async function ringOnChanges(options: MachineWatchOptions, ring: () => void, signal: AbortSignal): Promise<void> {
  const { farm } = options;
  await Promise.all([
    ringOnKind(options, { resource: RESOURCES.machines, labels: buildMachines(farm), ring }, signal),
    ringOnKind(options, { resource: RESOURCES.instances, labels: buildMachines(farm), ring }, signal),
    ringOnKind(options, { resource: RESOURCES.pods, labels: launcherPods(farm), ring }, signal),
  ]);
}

interface WatchedKind {
  readonly resource: Resource<KubernetesObject>;
  readonly labels: Record<string, string>;
  readonly ring: () => void;
}

/** An interrupted watch shows no state of the cluster: the next look determines it. */
async function ringOnKind(
  { cluster }: MachineWatchOptions,
  { resource, labels, ring }: WatchedKind,
  signal: AbortSignal,
): Promise<void> {
  const traces = new Map<string, string>();
  for await (const event of watchObjects(cluster, resource, { labels, signal })) {
    if (event.type === 'synced') {
      traces.clear();
      for (const object of event.objects) traces.set(nameOf(object), traceOf(object));
    } else if (event.type === 'deleted') {
      traces.delete(nameOf(event.object));
    } else if (event.type === 'changed') {
      const trace = traceOf(event.object);
      if (traces.get(nameOf(event.object)) === trace) continue;
      traces.set(nameOf(event.object), trace);
    }
    ring();
  }
}

function nameOf({ metadata }: KubernetesObject): string {
  return metadata?.name ?? '';
}
