import { parseQuantity } from '../../common/contracts/module/quantity.ts';
import { LABELS } from '../../common/contracts/object-names.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { VirtualMachineInstance } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { watchObjects } from '../../common/kubernetes/watch-objects.ts';
import { createAlarm } from '../../common/lifecycle/alarm.ts';
import { type ObservedVm, readUsage, reportCluster, reportTrouble } from '../../common/redis/slots.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

const LOOK_AGAIN_MS = 60_000;
const TROUBLE_MS = 2_000;

/** `onReached` is told when the cluster answers again after it did not. */
export interface MachineWatchOptions extends ClusterWatchOptions {
  readonly onReached?: () => void;
}

/** A VMI in these phases has given its node back. */
const ENDED = new Set(['Succeeded', 'Failed']);

/**
 * Frees the slots of machines that are gone, and says whether the cluster answers. The watch only tells when to look:
 * slots are freed by a fresh list that was asked for after the farm was done with the machine, because a watch may lag
 * behind a machine that was started a moment ago. Ends with `signal`.
 */
export async function watchMachines(options: MachineWatchOptions, signal: AbortSignal): Promise<void> {
  const { notices, cluster, clock, logger } = options;
  const alarm = createAlarm(clock);
  const stop = notices.listen((notice) => {
    if (notice.kind === 'reconnected' || (notice.kind === 'leaving' && notice.cluster === cluster.name)) alarm.ring();
  });
  const say = troubleReporter(options);
  const watching = ringOnChanges(options, () => alarm.ring(), signal);
  try {
    while (!signal.aborted) {
      alarm.reset();
      let nextMs = LOOK_AGAIN_MS;
      try {
        await reportOnce(options, signal);
        await say(null);
      } catch (error) {
        if (!signal.aborted) {
          logger.debug({ err: error, cluster: cluster.name }, 'Looking at machines has trouble');
          if (error instanceof FarmError && error.code === 'ClusterUnavailable') await say(error.message);
        }
        nextMs = TROUBLE_MS;
      }
      await alarm.within(nextMs, signal);
    }
  } finally {
    stop();
    await watching;
  }
}

/** One look at the cluster. Returns how many slots were freed. */
export async function reportOnce({ redis, cluster, farm }: ClusterWatchOptions, signal: AbortSignal): Promise<number> {
  const { slots } = await readUsage(redis, cluster.name);
  const leaving = slots.filter((slot) => slot.stage === 'leaving');
  const labels = buildMachines(farm);
  const { items } = await cluster.list(RESOURCES.instances, { labels, signal, retry: false });
  return reportCluster(redis, cluster.name, { leaving, observed: items.flatMap((vmi) => observedVm(vmi) ?? []) });
}

/** Tells the farm whether the cluster answers: null, or what is wrong. */
type TroubleReporter = (trouble: string | null) => Promise<void>;

/** Tells changes only. What could not be told is told with the next look. */
function troubleReporter({ redis, cluster, logger, onReached }: MachineWatchOptions): TroubleReporter {
  let said: string | null | undefined;
  return async (trouble) => {
    if (trouble === said) return;
    try {
      await reportTrouble(redis, cluster.name, trouble);
      if (trouble === null && said !== undefined) onReached?.();
      said = trouble;
    } catch (error) {
      logger.debug({ err: error }, 'Reporting on a cluster has trouble');
    }
  };
}

/** A watch that is cut off says nothing of the cluster: whoever looks finds out. */
async function ringOnChanges(
  { cluster, farm }: MachineWatchOptions,
  ring: () => void,
  signal: AbortSignal,
): Promise<void> {
  const phases = new Map<string, string>();
  for await (const event of watchObjects(cluster, RESOURCES.instances, { labels: buildMachines(farm), signal })) {
    if (event.type === 'interrupted' || event.type === 'resumed') {
      ring();
    } else if (event.type === 'synced') {
      phases.clear();
      for (const vmi of event.objects) phases.set(nameOf(vmi), vmi.status?.phase ?? '');
      ring();
    } else if (event.type === 'deleted') {
      phases.delete(nameOf(event.object));
      ring();
    } else if (phases.get(nameOf(event.object)) !== event.object.status?.phase) {
      phases.set(nameOf(event.object), event.object.status?.phase ?? '');
      ring();
    }
  }
}

/** Machines started from templates are people's own. */
function buildMachines(farm: string): Record<string, string> {
  return { [LABELS.farm]: farm, [LABELS.role]: 'build' };
}

function nameOf({ metadata }: VirtualMachineInstance): string {
  return metadata?.name ?? '';
}

/** Undefined for one that has ended. */
function observedVm({ metadata, spec, status }: VirtualMachineInstance): ObservedVm | undefined {
  if (ENDED.has(status?.phase ?? '')) return undefined;
  const { cpu, memory } = spec?.domain ?? {};
  return {
    layerBuild: metadata?.labels?.[LABELS.layerBuild] ?? '',
    generation: Number(metadata?.labels?.[LABELS.generation] ?? 0),
    vm: metadata?.labels?.[LABELS.vm] ?? '',
    cpu: (cpu?.cores ?? 1) * (cpu?.sockets ?? 1) * (cpu?.threads ?? 1),
    memoryBytes: Math.round(parseQuantity(memory?.guest) ?? 0),
  };
}
