import type { ClusterConfig } from '../../common/config/schema.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';
import { PhaseFailure } from '../phases/phase-executor.ts';
import { runStage } from './evidence.ts';
import { attachmentObject, gatewayObject, type ModuleScope, subnetObject, vpcObject } from './network-objects.ts';

export interface NetworkOptions {
  readonly scope: ModuleScope;
  readonly clusterConfig: ClusterConfig;
  readonly signal: AbortSignal;
}

/** Bound on each wait for KubeOVN. */
const NETWORK_MS = 180_000;

/**
 * Makes the networks of a module, or adopts them: VPCs, subnets, attachments, and a way out where the plan says so.
 * Every VM of the module calls it; deterministic names and create-if-absent decide every race.
 */
export async function ensureNetwork(cluster: ClusterClient, options: NetworkOptions): Promise<void> {
  const { vpcs, subnets } = options.scope.spec.network;
  await Promise.all(vpcs.map(({ name }) => ensureVpc(cluster, name, options)));
  await Promise.all(subnets.map(({ name }) => ensureSubnet(cluster, name, options)));
  await Promise.all(vpcs.filter(({ internet }) => internet).map(({ name }) => ensureWayOut(cluster, name, options)));
}

async function ensureVpc(cluster: ClusterClient, vpc: string, { scope, signal }: NetworkOptions): Promise<void> {
  const name = scope.names.vpc(vpc);
  await runStage(cluster, { reason: 'Fault', subjects: [{ kind: 'Vpc', name }] }, async () => {
    await cluster.createIfAbsent(RESOURCES.vpcs, vpcObject(scope, vpc), { signal });
    await waitFor(
      cluster,
      { resource: RESOURCES.vpcs, name },
      {
        signal,
        deadlineMs: NETWORK_MS,
        what: `the VPC "${vpc}" to be ready`,
        until: (object) => (object?.status?.standby && object.status.router ? true : undefined),
      },
    );
  });
}

async function ensureSubnet(cluster: ClusterClient, subnet: string, { scope, signal }: NetworkOptions): Promise<void> {
  const plan = scope.spec.network.subnets.find(({ name }) => name === subnet);
  if (!plan) return;
  const name = scope.names.subnet(subnet);
  await runStage(cluster, { reason: 'Fault', subjects: [{ kind: 'Subnet', name }] }, async () => {
    await cluster.createIfAbsent(RESOURCES.networkAttachments, attachmentObject(scope, subnet), { signal });
    await cluster.createIfAbsent(RESOURCES.subnets, subnetObject(scope, plan), { signal });
    await waitFor(
      cluster,
      { resource: RESOURCES.subnets, name },
      {
        signal,
        deadlineMs: NETWORK_MS,
        what: `the subnet "${subnet}" to be ready`,
        until: (object) => {
          const isTrue = (type: string) =>
            object?.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True');
          return isTrue('Ready') || isTrue('Validated') ? true : undefined;
        },
      },
    );
  });
}

/** The gateway, and the default route that sends the VPC's traffic to it. */
async function ensureWayOut(
  cluster: ClusterClient,
  vpc: string,
  { scope, clusterConfig, signal }: NetworkOptions,
): Promise<void> {
  const { externalSubnet, name: clusterName } = clusterConfig;
  if (!externalSubnet) {
    const message = `The VPC "${vpc}" asks for internet, but the cluster "${clusterName}" has no externalSubnet configured`;
    throw new PhaseFailure('ClusterRefused', message);
  }
  const gateway = gatewayObject(scope, vpc, externalSubnet);
  if (!gateway) return;
  const name = scope.names.gateway(vpc);
  const subjects = [{ kind: 'VpcEgressGateway', name }];
  const nextHop = await runStage(cluster, { reason: 'Fault', subjects }, async () => {
    await cluster.createIfAbsent(RESOURCES.egressGateways, gateway, { signal });
    return waitFor(
      cluster,
      { resource: RESOURCES.egressGateways, name },
      {
        signal,
        deadlineMs: NETWORK_MS,
        what: `the egress gateway of the VPC "${vpc}" to be ready`,
        until: (object) => (object?.status?.ready ? object.status.internalIPs?.[0] : undefined),
      },
    );
  });
  const route = { policy: 'policyDst', cidr: '0.0.0.0/0', nextHopIP: nextHop };
  await cluster.mergePatch(RESOURCES.vpcs, scope.names.vpc(vpc), { spec: { staticRoutes: [route] } }, { signal });
}
