import type { ClusterConfig } from '../../config/schema.ts';
import type { Finding } from '../../contracts/findings.ts';
import type { NetworkKind } from '../../contracts/network-kinds.ts';
import { CLUSTER_ROLES, type ClusterRole } from '../../contracts/roles.ts';
import type { ClusterClient } from '../cluster-client.ts';
import { rightsOn } from '../rights.ts';
import { networkOn, readFacts } from './cluster-facts.ts';
import { type JudgedConfig, judge } from './judge.ts';

/** The kind of network of a cluster, and its missing requirements: no findings when it is fit. */
export interface Preflight {
  readonly network: NetworkKind;
  readonly findings: readonly Finding[];
}

/**
 * Examines a cluster; it only reads.
 * @throws ClusterUnavailable while the cluster does not answer, or the signal's reason
 */
export async function preflight(
  cluster: ClusterClient,
  config: JudgedConfig & Pick<ClusterConfig, 'kubeconfig'>,
  signal: AbortSignal,
): Promise<Preflight> {
  const rights = (network: NetworkKind) => rolesOfAccount(config).flatMap((role) => rightsOn(network, role));
  const facts = await readFacts(cluster, { config, rightsOn: rights, signal });
  return { network: networkOn(facts.served, config), findings: judge(facts, config) };
}

/**
 * Whose rights the asking account must have: a kubeconfig is the same one for all processes; without one, each has the
 * service account of its own pod, and only the scheduler asks.
 */
function rolesOfAccount({ kubeconfig }: Pick<ClusterConfig, 'kubeconfig'>): readonly ClusterRole[] {
  return kubeconfig === undefined ? ['scheduler'] : CLUSTER_ROLES;
}
