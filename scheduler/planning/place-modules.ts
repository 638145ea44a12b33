import type { Limits } from '../../common/contracts/builds.ts';
import { hasLabels, type Labels, labelText } from '../../common/contracts/cluster-control.ts';
import type { VmPlan } from '../../common/contracts/layers.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { excess } from '../graph/limits.ts';
import { planningError, problemOf, type UnplacedProblem } from '../graph/planning-problems.ts';

/** A cluster as placement sees it. */
export interface PlacementCluster {
  readonly name: string;
  readonly limits: Limits;
  /** VMs that exist or are waited for, as a share of the limit. */
  readonly load: number;
  readonly healthy: boolean;
  /** Whether it can give internet. */
  readonly hasEgress: boolean;
  readonly labels: Labels;
  /** Why it takes no new modules, half a sentence; null: it does. */
  readonly closed: string | null;
  /** Why it takes no new disks, half a sentence; null: it does. */
  readonly full: string | null;
  /** Whether it can get copies of layers that other clusters have. */
  readonly getsCopies: boolean;
}

/** A module to place. */
export interface PlacementModule extends Pick<CompiledModule, 'name' | 'origin'> {
  /** Modules among those to place that it starts from; they are before it. */
  readonly parents: readonly string[];
  /** Clusters of the layers that it starts from and that are not among those to build, by layerKey. */
  readonly near: ReadonlyMap<string, string>;
  /** Cluster of the layer build that it joins; undefined: it is built. */
  readonly joins: string | undefined;
  /** Cluster of the layer that it replaces; there it stays beside the layers that others need together with it. */
  readonly formerly?: string | undefined;
  readonly vms: readonly VmPlan[];
  /** Would rather be where there is internet. */
  readonly wishesInternet: boolean;
  /** Labels that its cluster must have. */
  readonly clusterLabels: Labels;
  /** Why its network cannot be had, by cluster. */
  readonly obstacles: ReadonlyMap<string, string>;
}

/**
 * Chooses a cluster for every module. One that joins is where that layer build is. Those to build that start from each other go
 * together, to a healthy cluster that every module of them fits: one with internet where they wish for it, where they were before,
 * else where they cost least. Layers that they start from and that other clusters have are copied there, which costs as much as
 * waiting for a whole cluster of machines.
 * All modules that cannot be placed are reported together, each group at the module that causes it.
 * @throws with `details.problems`: ClusterUnfit when layers of different clusters cannot come together, NoSuchLabels when no
 *   cluster has what modules of a group ask for, ExceedsLimits when none of those fits the whole group, NetworkNotOffered when none
 *   of the rest has the network that its modules ask for, ClusterClosed or StorageFull when all that are left are closed, or full
 */
export function placeModules(
  modules: readonly PlacementModule[],
  clusters: readonly PlacementCluster[],
): Map<string, string> {
  const placed = new Map<string, string>();
  const extra = new Map<string, number>();
  const problems: Problem[] = [];
  for (const { name, joins } of modules) if (joins !== undefined) placed.set(name, joins);
  for (const group of groupsOf(modules.filter(({ joins }) => joins === undefined))) {
    const cluster = placeGroup(group, { clusters, extra });
    if (typeof cluster !== 'string') {
      problems.push(cluster);
      continue;
    }
    extra.set(cluster, (extra.get(cluster) ?? 0) + group.flatMap((module) => module.vms).length);
    for (const { name } of group) placed.set(name, cluster);
  }
  if (problems.length > 0) throw planningError(problems);
  return placed;
}

interface Places {
  readonly clusters: readonly PlacementCluster[];
  /** Machines of this plan by cluster. */
  readonly extra: ReadonlyMap<string, number>;
}

/** The cluster of modules that go together, or the problem that prevents it. */
function placeGroup(group: readonly PlacementModule[], { clusters, extra }: Places): string | Problem {
  const near = new Map(group.flatMap((module) => [...module.near]));
  const sources = new Set(near.values());
  const isHealthy = (name: string) => clusters.some((cluster) => cluster.name === name && cluster.healthy);
  const reachable = clusters.filter(({ name, getsCopies }) =>
    [...sources].every((source) => source === name || (getsCopies && isHealthy(source))),
  );
  if (reachable.length === 0) {
    const names = [...sources].join(', ');
    const message = `it needs layers of ${sources.size > 1 ? 'different clusters' : 'a cluster that is no longer configured'}: ${names}`;
    return problemOfGroup(group, (module) => module.near.size > 0, { code: 'ClusterUnfit', message });
  }
  const copies = (cluster: string) => [...near.values()].filter((source) => source !== cluster).length;
  return cheapest(group, reachable, ({ name, limits, load }) => {
    return load + (extra.get(name) ?? 0) / limits.vms + COPY_AS_LOAD * copies(name);
  });
}

/** A layer is copied rather than waited for when that many times more machines are there or waited for than a cluster has room for. */
const COPY_AS_LOAD = 1;

function cheapest(
  group: readonly PlacementModule[],
  clusters: readonly PlacementCluster[],
  cost: (cluster: PlacementCluster) => number,
): string | Problem {
  const problemOfLabels = labelProblem(group, clusters);
  if (problemOfLabels) return problemOfLabels;
  const labelled = clusters.filter(({ labels }) => hasAll(group, labels));
  const excessOf = ({ vms }: PlacementModule) =>
    labelled.flatMap(({ name, limits }) => excess(vms, name, limits) ?? []);
  const large = labelled.filter(({ name, limits }) => group.every(({ vms }) => excess(vms, name, limits) === null));
  if (large.length === 0) {
    const message = `it fits on no cluster: ${listed(group.flatMap(excessOf))}`;
    return problemOfGroup(group, (module) => excessOf(module).length > 0, { code: 'ExceedsLimits', message });
  }
  const fitting = large.filter(({ name }) => group.every(({ obstacles }) => !obstacles.has(name)));
  if (fitting.length === 0) {
    const reasons = large.flatMap(({ name }) => group.flatMap(({ obstacles }) => obstacles.get(name) ?? []));
    const message = `no cluster has the network that it asks for: ${listed(reasons)}`;
    return problemOfGroup(group, ({ obstacles }) => obstacles.size > 0, { code: 'NetworkNotOffered', message });
  }
  const takers = takersOf(group, fitting);
  if (!Array.isArray(takers)) return takers;
  const isWished = group.some(({ wishesInternet }) => wishesInternet);
  const isFormer = ({ name }: PlacementCluster) => group.some(({ formerly }) => formerly === name);
  const [best] = takers.toSorted(
    (a, b) =>
      Number(b.healthy) - Number(a.healthy) ||
      (isWished ? Number(b.hasEgress) - Number(a.hasEgress) : 0) ||
      Number(isFormer(b)) - Number(isFormer(a)) ||
      cost(a) - cost(b),
  );
  assert(best, 'A list that is not empty has a first element.');
  return best.name;
}

function hasAll(group: readonly PlacementModule[], labels: Labels): boolean {
  return group.every(({ clusterLabels }) => hasLabels(labels, clusterLabels));
}

/** The problem of labels that no cluster has for all modules of a group; null when one has them. */
function labelProblem(group: readonly PlacementModule[], clusters: readonly PlacementCluster[]): Problem | null {
  const isAsking = ({ clusterLabels }: PlacementModule) => Object.keys(clusterLabels).length > 0;
  if (!group.some(isAsking) || clusters.some(({ labels }) => hasAll(group, labels))) return null;
  const asked = group
    .filter(isAsking)
    .map(({ name, clusterLabels }) => `"${name}" asks for ${labelText(clusterLabels)}`);
  const have = clusters.map(({ name, labels }) => `"${name}" has ${labelText(labels) || 'none'}`);
  const message = `no cluster has its labels: ${listed(asked)}; ${listed(have)}`;
  return problemOfGroup(group, isAsking, { code: 'NoSuchLabels', message });
}

/** A reason why a cluster takes no new modules. */
interface Refusal {
  readonly code: UnplacedProblem['code'];
  readonly what: string;
  of(cluster: PlacementCluster): string | null;
}

/** In the order in which they are reported. */
const REFUSALS: readonly Refusal[] = [
  { code: 'ClusterClosed', what: 'no cluster takes new modules', of: ({ closed }) => closed },
  { code: 'StorageFull', what: 'no cluster has room for its disks', of: ({ full }) => full },
];

/** The clusters that take new modules, or the refusal that leaves none of them. */
function takersOf(
  group: readonly PlacementModule[],
  clusters: readonly PlacementCluster[],
): PlacementCluster[] | Problem {
  let takers = [...clusters];
  for (const { code, what, of } of REFUSALS) {
    const left = takers.filter((cluster) => of(cluster) === null);
    if (left.length === 0) {
      const reasons = takers.map((cluster) => `"${cluster.name}": ${of(cluster)}`);
      return problemOfGroup(group, () => true, { code, message: `${what}: ${listed(reasons)}` });
    }
    takers = left;
  }
  return takers;
}

/** Problem of modules that must be on the same cluster, reported at the one that causes it. */
function problemOfGroup(
  group: readonly PlacementModule[],
  isToBlame: (module: PlacementModule) => boolean,
  problem: UnplacedProblem,
): Problem {
  const blamed = group.find(isToBlame);
  assert(blamed, 'A group that cannot be placed has a module that is to blame.');
  const others = group.filter((module) => module !== blamed).map(({ name }) => `"${name}"`);
  const together = others.length === 0 ? '' : `; it must be on the same cluster as ${listed(others, ', ')}`;
  return problemOf(blamed, { ...problem, message: `${problem.message}${together}` });
}

/** A group may be a thousand modules: a message lists some of them, each once, and counts the rest. */
const MOST_LISTED = 5;

function listed(texts: readonly string[], separator = '; '): string {
  const all = [...new Set(texts)];
  const shown = all.slice(0, MOST_LISTED).join(separator);
  return all.length > MOST_LISTED ? `${shown} and ${all.length - MOST_LISTED} more` : shown;
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
