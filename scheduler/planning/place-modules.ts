import type { Limits } from '../../common/contracts/builds.ts';
import type { VmPlan } from '../../common/contracts/layers.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { type Finding, planningError, problemOf } from '../graph/findings.ts';
import { excess } from '../graph/limits.ts';

/** A cluster as placement sees it. */
export interface PlacementCluster {
  readonly name: string;
  readonly limits: Limits;
  /** VMs that exist or are waited for, as a share of the limit. */
  readonly load: number;
  readonly healthy: boolean;
  /** Whether it can give internet. */
  readonly hasEgress: boolean;
  /** Why it takes no new disks, half a sentence; null: it does. */
  readonly full: string | null;
}

/** A module to place. */
export interface PlacementModule extends Pick<CompiledModule, 'name' | 'origin'> {
  /** Modules among those to place that it starts from; they stand before it. */
  readonly parents: readonly string[];
  /** Clusters of the layers that it starts from, and of the layer build that it joins. */
  readonly boundTo: readonly string[];
  /** Where the layer is that it replaces; there it stays beside what others need together with it. */
  readonly formerly?: string | undefined;
  readonly vms: readonly VmPlan[];
  /** Needs room for disks: it is built, and not there or begun already. */
  readonly isNew: boolean;
  /** Would rather be where there is internet. */
  readonly wishesInternet: boolean;
  /** Why its network cannot be had, by cluster. */
  readonly obstacles: ReadonlyMap<string, string>;
}

/**
 * Chooses a cluster for every module: where its parents' layers are, because snapshots do not travel; so modules that
 * start from each other go together. Free groups go to a healthy cluster that every module of them fits: one with internet
 * where they wish for it, where they were before, else the least loaded.
 * What cannot be placed is reported all at once, each at a module that is to blame.
 * @throws with `details.problems`: ClusterUnfit when parents are on different clusters, ExceedsLimits when no cluster fits a
 *   whole group, NetworkNotOffered when none of those has the network that its modules ask for, StorageFull when the storage of
 *   all that are left is full
 */
export function placeModules(
  modules: readonly PlacementModule[],
  clusters: readonly PlacementCluster[],
): Map<string, string> {
  const placed = new Map<string, string>();
  const extra = new Map<string, number>();
  const problems: Problem[] = [];
  for (const group of groupsOf(modules)) {
    const cluster = placeGroup(group, clusters, extra);
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

/** The cluster of modules that go together, or why there is none. */
function placeGroup(
  group: readonly PlacementModule[],
  clusters: readonly PlacementCluster[],
  extra: ReadonlyMap<string, number>,
): string | Problem {
  const [cluster, ...others] = new Set(group.flatMap((module) => module.boundTo));
  if (cluster === undefined) return leastLoaded(group, clusters, extra);
  if (others.length > 0) {
    const message = `it needs layers of different clusters: ${[cluster, ...others].join(', ')}`;
    return problemOfGroup(group, ({ boundTo }) => boundTo.length > 0, { code: 'ClusterUnfit', message });
  }
  // Where its parents are, a module may find no network for itself.
  const unfit = group.find(({ obstacles }) => obstacles.has(cluster));
  if (unfit) {
    const message = `it belongs to the cluster "${cluster}": ${unfit.obstacles.get(cluster)}`;
    return problemOf(unfit, { code: 'NetworkNotOffered', message });
  }
  const full = clusters.filter(({ name }) => name === cluster);
  return fullProblem(group, full) ?? cluster;
}

function leastLoaded(
  group: readonly PlacementModule[],
  clusters: readonly PlacementCluster[],
  extra: ReadonlyMap<string, number>,
): string | Problem {
  const excessOf = ({ vms }: PlacementModule) =>
    clusters.flatMap(({ name, limits }) => excess(vms, name, limits) ?? []);
  const large = clusters.filter(({ name, limits }) => group.every(({ vms }) => excess(vms, name, limits) === null));
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
  const roomy = fitting.filter(({ full }) => full === null);
  const problem = roomy.length === 0 && fullProblem(group, fitting);
  if (problem) return problem;
  const isWished = group.some(({ wishesInternet }) => wishesInternet);
  const load = ({ name, limits, load: now }: PlacementCluster) => now + (extra.get(name) ?? 0) / limits.vms;
  const isFormer = ({ name }: PlacementCluster) => group.some(({ formerly }) => formerly === name);
  const [best] = (roomy.length > 0 ? roomy : fitting).toSorted(
    (a, b) =>
      Number(b.healthy) - Number(a.healthy) ||
      (isWished ? Number(b.hasEgress) - Number(a.hasEgress) : 0) ||
      Number(isFormer(b)) - Number(isFormer(a)) ||
      load(a) - load(b),
  );
  assert(best, 'A list that is not empty has a first element.');
  return best.name;
}

/** Why modules are not built on clusters whose storage is full; null when one has room, or when nothing of them is new. */
function fullProblem(group: readonly PlacementModule[], clusters: readonly PlacementCluster[]): Problem | null {
  const reasons = clusters.flatMap(({ name, full }) => (full === null ? [] : [`"${name}": ${full}`]));
  const isNew = ({ isNew: needsRoom }: PlacementModule) => needsRoom;
  if (reasons.length === 0 || reasons.length < clusters.length || !group.some(isNew)) return null;
  const message = `no cluster has room for its disks: ${listed(reasons)}`;
  return problemOfGroup(group, isNew, { code: 'StorageFull', message });
}

/** What is wrong with modules that must be on the same cluster, at one that is to blame. */
function problemOfGroup(
  group: readonly PlacementModule[],
  isToBlame: (module: PlacementModule) => boolean,
  finding: Finding,
): Problem {
  const blamed = group.find(isToBlame);
  assert(blamed, 'A group that cannot be placed has a module that is to blame.');
  const others = group.filter((module) => module !== blamed).map(({ name }) => `"${name}"`);
  const together = others.length === 0 ? '' : `; it must be on the same cluster as ${listed(others, ', ')}`;
  return problemOf(blamed, { ...finding, message: `${finding.message}${together}` });
}

/** A group may be a thousand modules: what a message lists of it, each once; the rest is counted. */
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
