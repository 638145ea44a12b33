import type { ClusterConfig } from '../../common/config/schema.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { KubernetesObject, VpcEgressGateway } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';
import type { ModuleScope } from '../cluster/build-scope.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import { runStage } from '../context/stage.ts';
import { attachmentObjects, gatewayObject, subnetObject, vpcObject } from './network-objects.ts';

export interface NetworkOptions {
  readonly scope: ModuleScope;
  readonly clusterConfig: ClusterConfig;
  readonly signal: AbortSignal;
}

/** Bound on each wait for KubeOVN. */
const NETWORK_MS = 180_000;

/**
 * Makes the networks of a module, or adopts them: VPCs, subnets, attachments. Every VM of the module calls it;
 * deterministic names and create-if-absent decide every race.
 */
export async function ensureNetwork(cluster: ClusterClient, options: NetworkOptions): Promise<void> {
  const { scope, signal } = options;
  const { vpcs, subnets } = scope.spec.network;
  await Promise.all([
    ...subnets
      .flatMap(({ name }) => attachmentObjects(scope, name))
      .map((attachment) =>
        runStage(cluster, { reason: 'ClusterRefused', subjects: [] }, () =>
          cluster.createIfAbsent(RESOURCES.networkAttachments, attachment, { signal }),
        ),
      ),
    ...vpcs.map(async ({ name: vpc }) => {
      await ensureVpc(cluster, vpc, options);
      await Promise.all(
        subnets.filter((one) => one.vpc === vpc).map(({ name }) => ensureSubnet(cluster, name, options)),
      );
    }),
  ]);
}

/**
 * Asks for the ways out of the VPCs that have internet; `ensureWaysOut` waits for them.
 * @throws PhaseFailure ClusterRefused when the cluster has none to give
 */
export async function requestWaysOut(cluster: ClusterClient, options: NetworkOptions): Promise<void> {
  await Promise.all(waysOut(options).map((wayOut) => requestWayOut(cluster, wayOut, options)));
}

/**
 * Makes the ways out, or adopts them, and waits until they are where the default route of their VPC leads.
 * @throws PhaseFailure ClusterRefused when the cluster has none to give
 */
export async function ensureWaysOut(cluster: ClusterClient, options: NetworkOptions): Promise<void> {
  await Promise.all(
    waysOut(options).map(async (wayOut) => {
      await requestWayOut(cluster, wayOut, options);
      await awaitWayOut(cluster, wayOut, options);
    }),
  );
}

interface Readiness<T extends KubernetesObject, R> {
  readonly resource: Resource<T>;
  readonly name: string;
  /** The object, for the error. */
  readonly what: string;
  /** Undefined while it is not ready. */
  ready(object: T): R | undefined;
}

function untilReady<T extends KubernetesObject, R>(
  cluster: ClusterClient,
  signal: AbortSignal,
  { resource, name, what, ready }: Readiness<T, R>,
): Promise<R> {
  const until = (object: T | undefined) => object && ready(object);
  return waitFor(cluster, { resource, name }, { signal, deadlineMs: NETWORK_MS, what: `${what} to be ready`, until });
}

async function ensureVpc(cluster: ClusterClient, vpc: string, options: NetworkOptions): Promise<void> {
  const { scope, signal, clusterConfig } = options;
  const name = scope.names.vpc(vpc);
  await runStage(cluster, { reason: 'Fault', subjects: [{ kind: 'Vpc', name }] }, async () => {
    await cluster.createIfAbsent(RESOURCES.vpcs, vpcObject(scope, vpc, clusterConfig.deniedNetworks), { signal });
    await untilReady(cluster, signal, {
      ...{ resource: RESOURCES.vpcs, name, what: `the VPC "${vpc}"` },
      ready: ({ status }) => (status?.standby && status.router ? true : undefined),
    });
  });
}

async function ensureSubnet(cluster: ClusterClient, subnet: string, { scope, signal }: NetworkOptions): Promise<void> {
  const plan = scope.spec.network.subnets.find(({ name }) => name === subnet);
  if (!plan) return;
  const name = scope.names.subnet(subnet);
  await runStage(cluster, { reason: 'Fault', subjects: [{ kind: 'Subnet', name }] }, async () => {
    await cluster.createIfAbsent(RESOURCES.subnets, subnetObject(scope, plan), { signal });
    await untilReady(cluster, signal, {
      ...{ resource: RESOURCES.subnets, name, what: `the subnet "${subnet}"` },
      // "Validated" comes first, before there is a switch to plug anything into.
      ready: (object) =>
        object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') || undefined,
    });
  });
}

interface WayOut {
  readonly vpc: string;
  readonly gateway: VpcEgressGateway;
}

function waysOut({ scope, clusterConfig }: NetworkOptions): WayOut[] {
  const { externalSubnet, name: clusterName } = clusterConfig;
  return scope.spec.network.vpcs.flatMap(({ name: vpc, internet }) => {
    if (!internet) return [];
    if (!externalSubnet) {
      const message = `The VPC "${vpc}" asks for internet, but the cluster "${clusterName}" has no externalSubnet configured`;
      throw new PhaseFailure('ClusterRefused', message);
    }
    const gateway = gatewayObject(scope, vpc, externalSubnet);
    return gateway ? [{ vpc, gateway }] : [];
  });
}

async function requestWayOut(cluster: ClusterClient, { gateway }: WayOut, { signal }: NetworkOptions): Promise<void> {
  await runStage(cluster, { reason: 'ClusterRefused', subjects: [] }, () =>
    cluster.createIfAbsent(RESOURCES.egressGateways, gateway, { signal }),
  );
}

async function awaitWayOut(
  cluster: ClusterClient,
  { vpc, gateway }: WayOut,
  { scope, signal }: NetworkOptions,
): Promise<void> {
  const name = scope.names.gateway(vpc);
  const subjects = [{ kind: 'VpcEgressGateway', name }];
  const address = await runStage(cluster, { reason: 'Fault', subjects }, () =>
    untilReady(cluster, signal, {
      ...{ resource: RESOURCES.egressGateways, name, what: `the egress gateway of the VPC "${vpc}"` },
      ready: ({ status }) => (status?.ready ? status.internalIPs?.[0] : undefined),
    }),
  );
  const [planned] = gateway.spec?.internalIPs ?? [];
  if (address === planned) return;
  // As a secondary network, KubeOVN shows the pod's address on the cluster's own network, which no VPC reaches.
  throw new PhaseFailure(
    'ClusterRefused',
    `The egress gateway of the VPC "${vpc}" has the address ${address} instead of ${planned}: it is outside the VPC. ` +
      'KubeOVN gives egress gateways only where it is the primary network of the cluster.',
  );
}
