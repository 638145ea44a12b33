import { FarmError } from './farm-error.ts';

/** The cluster of that name, as it was found. @throws ClusterUnfit when this scheduler has none: each process has its own configuration */
export function requireCluster<Cluster>(found: Cluster | undefined, name: string): Cluster {
  if (found !== undefined) return found;
  const message = `This scheduler does not know the cluster "${name}": name it in the option clusters of all processes.`;
  throw new FarmError('ClusterUnfit', message);
}
