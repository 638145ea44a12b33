import { systemClock } from '../../common/clock/clock.ts';
import { configSchema } from '../../common/config/schema.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { watchObjects } from '../../common/kubernetes/watch-objects.ts';

/** Phases in which a VMI or a pod has given its node back. */
const ENDED = new Set(['Succeeded', 'Failed']);

/** What a cluster's watch showed of the machines of builds. */
export interface MachineCount {
  /** The most instances, or launcher pods, that lived at one moment. */
  readonly peak: () => number;
  stop(): Promise<void>;
}

/**
 * Watches from the cluster's side; a server that is killed meanwhile is watched on from where it was. Each moment at which
 * more than `limit` live is reported.
 */
export function countMachines(kubeconfig: string, limit: number, report: (violation: string) => void): MachineCount {
  const [config] = configSchema.parse({ clusters: [{ name: 'watched', kubeconfig }] }).clusters;
  if (!config) throw new Error('One cluster was configured.');
  const cluster = new ClusterClient(config, { clock: systemClock });
  let peak = 0;
  const stop = new AbortController();
  const follow = async (resource: Resource<KubernetesObject>, labels: Record<string, string>) => {
    const living = new Set<string>();
    const see = (object: KubernetesObject) => {
      const { status } = object as { status?: { phase?: string } };
      if (ENDED.has(status?.phase ?? '')) living.delete(nameOf(object));
      else living.add(nameOf(object));
    };
    for await (const event of watchObjects(cluster, resource, { labels, signal: stop.signal })) {
      const before = living.size;
      if (event.type === 'synced') {
        living.clear();
        event.objects.forEach(see);
      } else if (event.type === 'changed') see(event.object);
      else if (event.type === 'deleted') living.delete(nameOf(event.object));
      peak = Math.max(peak, living.size);
      if (living.size > Math.max(limit, before)) {
        report(`${living.size} ${resource.plural} at once, of ${limit}: ${[...living].sort().join(', ')}`);
      }
    }
  };
  const build = { [LABELS.role]: 'build' };
  const following = Promise.all([
    follow(RESOURCES.instances, build),
    follow(RESOURCES.pods, { ...build, 'kubevirt.io': 'virt-launcher' }),
  ]);
  return {
    peak: () => peak,
    stop: async () => {
      stop.abort();
      await following;
    },
  };
}

function nameOf({ metadata }: KubernetesObject): string {
  return metadata?.name ?? '';
}
