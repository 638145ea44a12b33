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
  /** Whether it can give internet. */
  readonly hasEgress: boolean;
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
  /** Would rather be where there is internet. */
  readonly wishesInternet: boolean;
  /** Why its network cannot be had, by cluster. */
  readonly obstacles: ReadonlyMap<string, string>;
}

/**
 * Chooses a cluster for every module: where its parents' layers are, because snapshots do not travel; so modules that
 * start from each other go together. Free groups go to a healthy cluster that every module of them fits: one with internet
 * where they wish for it, where they were before, else the least loaded.
 * @throws ClusterUnfit when parents are on different clusters, ExceedsLimits when no cluster fits a whole group,
 *   NetworkNotOffered when none of those has the network that its modules ask for
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
    assertNetwork(group, cluster);
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
  const names = group.map(({ name }) => `"${name}"`).join(', ');
  const large = clusters.filter(({ limits }) => group.every(({ vms }) => fits(vms, limits)));
  if (large.length === 0) {
    throw new FarmError(
      'ExceedsLimits',
      `No cluster fits all of these modules, which must be on the same one: ${names}.`,
    );
  }
  const fitting = large.filter(({ name }) => group.every(({ obstacles }) => !obstacles.has(name)));
  if (fitting.length === 0) {
    const reasons = large.flatMap(({ name }) => group.flatMap(({ obstacles }) => obstacles.get(name) ?? []));
    const must = group.length > 1 ? 'these modules, which must be on the same one' : 'the module';
    const message = `No cluster has the network of ${must}: ${names}: ${[...new Set(reasons)].join('; ')}.`;
    throw new FarmError('NetworkNotOffered', message);
  }
  const isWished = group.some(({ wishesInternet }) => wishesInternet);
  const load = ({ name, limits, load: now }: PlacementCluster) => now + (extra.get(name) ?? 0) / limits.vms;
  const isFormer = ({ name }: PlacementCluster) => group.some(({ formerly }) => formerly === name);
  const [best] = fitting.toSorted(
    (a, b) =>
      Number(b.healthy) - Number(a.healthy) ||
      (isWished ? Number(b.hasEgress) - Number(a.hasEgress) : 0) ||
      Number(isFormer(b)) - Number(isFormer(a)) ||
      load(a) - load(b),
  );
  assert(best, 'A list that is not empty has a first element.');
  return best.name;
}

/** Where its parents are, a module may find no network for itself. */
function assertNetwork(group: readonly PlacementModule[], cluster: string): void {
  for (const { name, obstacles } of group) {
    const obstacle = obstacles.get(cluster);
    if (obstacle === undefined) continue;
    throw new FarmError('NetworkNotOffered', `Module "${name}" belongs to the cluster "${cluster}": ${obstacle}.`);
  }
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
