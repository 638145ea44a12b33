import type { Redis } from 'ioredis';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { findNetwork } from '../../common/kubernetes/preflight/find-network.ts';
import { readNetwork } from '../../common/redis/networks.ts';
import type { NetworkOffer } from '../graph/network-offers.ts';

/** A cluster that does not answer within this is not waited for. */
const ANSWER_MS = 10_000;

/** A cluster, and how it is configured. */
export interface OfferingCluster {
  readonly redis: Redis;
  readonly cluster: ClusterClient;
  readonly clusterConfig: ClusterConfig;
}

/** Features of a cluster's network (`networkOf`). Null when the cluster has never answered. @throws RedisUnavailable */
export async function networkOffer(options: OfferingCluster): Promise<NetworkOffer | null> {
  const kind = await resolveNetwork(options, AbortSignal.timeout(ANSWER_MS)).catch((error: unknown) => {
    if (error instanceof FarmError && error.code === 'RedisUnavailable') throw error;
    return null;
  });
  if (kind === null) return null;
  return { kind, hasEgress: kind === 'pod' || options.clusterConfig.externalSubnet !== undefined };
}

/**
 * How a cluster connects machines: as it is configured, as the last look found it (`inspectCluster`), else as it answers.
 * @throws ClusterUnavailable, RedisUnavailable, or the signal's reason
 */
export async function resolveNetwork(
  { redis, cluster, clusterConfig }: OfferingCluster,
  signal: AbortSignal,
): Promise<NetworkKind> {
  return (
    clusterConfig.network ??
    (await readNetwork(redis, cluster.name)) ??
    (await findNetwork(cluster, clusterConfig, signal))
  );
}
