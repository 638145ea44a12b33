import type { Plan } from '../../common/contracts/plans.ts';
import type { GraphPlan } from '../graph/expand.ts';
import { lacksInternet, type NetworkOffers } from '../graph/network-offers.ts';

/** The plan, with warnings about features that the chosen clusters lack. */
export function withMissingInternet(
  { plan, layers }: GraphPlan,
  clusterOf: ReadonlyMap<string, string>,
  networks: NetworkOffers,
): Plan {
  const missing = plan.modules.flatMap(({ name, action }) => {
    const [spec, cluster] = [layers[name]?.spec, clusterOf.get(name)];
    if (action !== 'build' || !spec || cluster === undefined) return [];
    if (!lacksInternet(spec, networks[cluster])) return [];
    return [`Module "${name}" is built without internet: the cluster "${cluster}" has no externalSubnet`];
  });
  return { ...plan, warnings: [...plan.warnings, ...missing] };
}
