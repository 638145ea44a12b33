import { fullStorage } from '../../common/contracts/full-storage.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { LayerCatalog } from '../../common/redis/layers.ts';
import type { GraphPlan } from '../graph/expand.ts';
import { type NetworkOffers, obstaclesOf, wishesInternet } from '../graph/network-offers.ts';
import { placeModules } from './place-modules.ts';
import type { PlanTask } from './plan-task.ts';

/** State of the farm for planning and placing modules. */
export interface Known {
  readonly catalog: LayerCatalog;
  readonly networks: NetworkOffers;
}

/** The cluster of each module of a plan that is not reused. @throws as `placeModules` */
export function placePlan(
  { plan, layers }: GraphPlan,
  { catalog, networks }: Known,
  { clusters, hasBlobs }: PlanTask,
): Map<string, string> {
  const unfinished = [...catalog.unfinished.values()];
  const candidates = clusters.map(({ name, limits, vms, healthy, labels, closed, storage, blobsUrl }) => {
    const waiting = unfinished.filter((layer) => layer.cluster === name).length;
    const hasEgress = networks[name]?.hasEgress === true;
    const full = fullStorage(storage);
    const getsCopies = hasBlobs && blobsUrl !== null;
    return { name, limits, load: (vms + waiting) / limits.vms, healthy, labels, closed, hasEgress, full, getsCopies };
  });
  const built = plan.modules.filter(({ action }) => action !== 'reuse');
  const names = new Set(built.map(({ name }) => name));
  const clusterOf = (key: string) => catalog.unfinished.get(key)?.cluster ?? catalog.layers.get(key)?.cluster;
  const madeHere = new Set(built.filter(({ action }) => action === 'build').map(({ layerKey }) => layerKey));
  const modules = built.map(({ name, dependsOn, action, layerKey }) => {
    const others = (layers[name]?.parents ?? []).filter((key) => !madeHere.has(key));
    const near = new Map(
      others.flatMap((key) => {
        const cluster = clusterOf(key);
        return cluster === undefined ? [] : [[key, cluster] as const];
      }),
    );
    const joins = action === 'join' ? clusterOf(layerKey) : undefined;
    const spec = layers[name]?.spec;
    assert(spec, `Module "${name}" is planned before it is placed.`);
    const former = catalog.layers.get(catalog.newest.get(name) ?? '');
    const formerly = former?.recipeKey === layers[name]?.recipeKey ? former?.cluster : undefined;
    return {
      ...{ name, origin: spec.module.origin, near, joins, formerly, vms: spec.vms },
      clusterLabels: spec.module.clusterLabels ?? {},
      parents: dependsOn.filter((parent) => names.has(parent)),
      wishesInternet: wishesInternet(spec),
      obstacles: action === 'build' ? obstaclesOf(spec, networks) : new Map(),
    };
  });
  return placeModules(modules, candidates);
}
