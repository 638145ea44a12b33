import type { ClusterConfig } from '../../config/schema.ts';
import type { NetworkKind } from '../../contracts/network-kinds.ts';
import type { ClusterClient } from '../cluster-client.ts';
import { KUBE_OVN, networkOn, readServed } from './cluster-facts.ts';

/** How a cluster connects machines; detected when not configured. @throws ClusterUnavailable, or the signal's reason */
export async function findNetwork(
  cluster: ClusterClient,
  config: Pick<ClusterConfig, 'network'>,
  signal: AbortSignal,
): Promise<NetworkKind> {
  return config.network ?? networkOn(await readServed(cluster, [KUBE_OVN], signal), config);
}
