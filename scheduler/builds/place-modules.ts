import type { Limits } from '../../common/contracts/builds.ts';
import type { VmPlan } from '../../common/contracts/layers.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';

/** A cluster as placement sees it. */
export interface PlacementCluster {
  readonly name: string;
  readonly limits: Limits;
  /** VMs that exist or are waited for, as a share of the limit. */
  readonly load: number;
  readonly healthy: boolean;
}

/** A module to place. */
export interface PlacementModule {
  readonly name: string;
  /** Modules among those to place that it starts from; they stand before it. */
  readonly parents: readonly string[];
  /** Clusters of the layers that it starts from, and of the work that it joins. */
  readonly boundTo: readonly string[];
  /** Where the layer is that it replaces; there it stays beside what others need together with it. */
  readonly formerly?: string | undefined;
  readonly vms: readonly VmPlan[];
}

/**
 * Chooses a cluster for every module: where its parents' layers are, because snapshots do not travel; so modules that
 * start from each other go together. Free groups go to a healthy cluster that every module of them fits: where they were
 * before, else the least loaded.
 * @throws ClusterUnfit when parents are on different clusters, ExceedsLimits when no cluster fits a whole group
 */
export function placeModules(
  modules: readonly PlacementModule[],
  clusters: readonly PlacementCluster[],
): Map<string, string> {
  const placed = new Map<string, string>();
  const extra = new Map<string, number>();
  for (const group of groupsOf(modules)) {
    const bound = [...new Set(group.flatMap((module) => module.boundTo))];
    const [first = ''] = group.map((module) => module.name);
    if (bound.length > 1) {
      throw new FarmError('ClusterUnfit', `Module "${first}" needs layers of different clusters: ${bound.join(', ')}.`);
    }
    const cluster = bound[0] ?? leastLoaded(group, clusters, extra);
    extra.set(cluster, (extra.get(cluster) ?? 0) + group.flatMap((module) => module.vms).length);
    for (const { name } of group) placed.set(name, cluster);
  }
  return placed;
}

function leastLoaded(
  group: readonly PlacementModule[],
  clusters: readonly PlacementCluster[],
  extra: ReadonlyMap<string, number>,
): string {
  const fitting = clusters.filter(({ limits }) => group.every(({ vms }) => fits(vms, limits)));
  if (fitting.length === 0) {
    const names = group.map(({ name }) => `"${name}"`).join(', ');
    throw new FarmError(
      'ExceedsLimits',
      `No cluster fits all of these modules, which must be on the same one: ${names}.`,
    );
  }
  const load = ({ name, limits, load: now }: PlacementCluster) => now + (extra.get(name) ?? 0) / limits.vms;
  const isFormer = ({ name }: PlacementCluster) => group.some(({ formerly }) => formerly === name);
  const [best] = fitting.toSorted(
    (a, b) => Number(b.healthy) - Number(a.healthy) || Number(isFormer(b)) - Number(isFormer(a)) || load(a) - load(b),
  );
  assert(best, 'A list that is not empty has a first element.');
  return best.name;
}

function fits(vms: readonly VmPlan[], limits: Limits): boolean {
  const sum = (of: (vm: VmPlan) => number) => vms.reduce((total, vm) => total + of(vm), 0);
  return (
    vms.length <= limits.vms && sum((vm) => vm.cpu) <= limits.cpu && sum((vm) => vm.memoryBytes) <= limits.memoryBytes
  );
}

/** Modules that are connected by parents, in the order of their first ones. */
function groupsOf(modules: readonly PlacementModule[]): PlacementModule[][] {
  const groupOf = new Map<string, PlacementModule[]>();
  const groups = new Set<PlacementModule[]>();
  for (const module of modules) {
    let group = [module];
    groups.add(group);
    for (const parent of module.parents) {
      const other = groupOf.get(parent);
      if (!other || other === group) continue;
      const [small, large] = group.length < other.length ? [group, other] : [other, group];
      large.push(...small);
      for (const { name } of small) groupOf.set(name, large);
      groups.delete(small);
      group = large;
    }
    groupOf.set(module.name, group);
  }
  return [...groups];
}
