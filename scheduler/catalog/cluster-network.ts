import type { Redis } from 'ioredis';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { findNetwork } from '../../common/kubernetes/preflight/find-network.ts';
import { readNetwork, reportNetwork } from '../../common/redis/networks.ts';
import type { NetworkOffer } from '../graph/network-offers.ts';

/** A cluster that does not answer within this is not waited for. */
const ANSWER_MS = 10_000;

/** A cluster, and how it is configured. */
export interface OfferingCluster {
  readonly redis: Redis;
  readonly cluster: ClusterClient;
  readonly clusterConfig: ClusterConfig;
}

/**
 * What the network of a cluster gives: as it is configured, as the last look found it (`inspectCluster`), else as the
 * cluster says. Null when it never answered. @throws RedisUnavailable
 */
export async function networkOffer({ redis, cluster, clusterConfig }: OfferingCluster): Promise<NetworkOffer | null> {
  const kind =
    clusterConfig.network ??
    (await readNetwork(redis, cluster.name)) ??
    (await findNetwork(cluster, clusterConfig, AbortSignal.timeout(ANSWER_MS)).catch(() => null));
  if (kind === null) return null;
  return { kind, hasEgress: kind === 'pod' || clusterConfig.externalSubnet !== undefined };
}

/** Looks how a cluster connects machines, and keeps it. @throws ClusterUnavailable, RedisUnavailable */
export async function inspectNetwork(
  { redis, cluster, clusterConfig }: OfferingCluster,
  signal: AbortSignal,
): Promise<void> {
  await reportNetwork(redis, cluster.name, await findNetwork(cluster, clusterConfig, signal));
}
