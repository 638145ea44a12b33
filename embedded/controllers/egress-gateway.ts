import { fieldAt, type KubeObject, type ObjectKey, timestamp } from '../api/objects.ts';
import { closeEgress, openEgress } from '../network/egress.ts';
import { ensureNamespace, vpcNamespace } from '../network/namespaces.ts';
import { setCondition } from './conditions.ts';
import {
  type ControllerContext,
  ensureFinalizer,
  isDeleting,
  queueFor,
  removeFinalizers,
  textKeyOf,
} from './context.ts';
import { ensureGatewayPods } from './gateway-pods.ts';
import { DEFAULT_VPC, type Networks } from './networks.ts';
import { NODE_NAME } from './vmi-status.ts';
import { KUBEOVN_FINALIZER } from './vpc.ts';

/** VpcEgressGateways: a VPC has a way out exactly while one of its gateways has replicas. */
export function startEgressGatewayController(context: ControllerContext, networks: Networks): void {
  const { store, signal } = context;
  const queue = queueFor(context, 'VpcEgressGateway', (key) => reconcile(context, networks, key));
  const wakeAll = () => {
    for (const gateway of store.list('VpcEgressGateway')) queue.add(textKeyOf(gateway));
  };
  store.subscribe(['Subnet'], ({ type }) => (type === 'ADDED' ? wakeAll() : undefined), signal);
  store.subscribe(['Vpc'], wakeAll, signal);
}

function vpcOf(gateway: KubeObject): string {
  const vpc = gateway.spec?.['vpc'];
  return typeof vpc === 'string' && vpc ? vpc : DEFAULT_VPC;
}

function replicasOf(gateway: KubeObject): number {
  return Number(gateway.spec?.['replicas'] ?? 1);
}

async function reconcile(context: ControllerContext, networks: Networks, key: ObjectKey): Promise<void> {
  const { store } = context;
  const gateway = store.get('VpcEgressGateway', key);
  if (!gateway) return;
  if (!isDeleting(gateway)) await ensureFinalizer(store, gateway, KUBEOVN_FINALIZER);
  const vpc = vpcOf(gateway);
  const transit = await converge(context, vpc);
  if (isDeleting(gateway)) return await removeFinalizers(store, gateway, [KUBEOVN_FINALIZER]);
  const inside = await ensureGatewayPods(context, networks, { gateway, vpc, replicas: replicasOf(gateway) });
  await writeStatus(context, gateway, { inside, outside: inside.length > 0 && transit ? [transit.host] : [] });
}

/** Opens or closes the egress of a VPC by the union of its gateways. */
async function converge(context: ControllerContext, vpc: string) {
  const { store, layout, guestNetworks } = context;
  const namespace = vpcNamespace(layout, vpc);
  const active = store
    .list('VpcEgressGateway')
    .filter((gateway) => vpcOf(gateway) === vpc && replicasOf(gateway) > 0 && !isDeleting(gateway));
  if (active.length === 0) {
    await closeEgress({ layout, vpc, namespace });
    return undefined;
  }
  const found = store.get('Vpc', { name: vpc });
  if (!found) throw new Error(`The Vpc "${vpc}" does not exist`);
  await ensureNamespace(namespace, { isRouter: true });
  const sources = active.map((gateway) => sourcesOf(context, gateway));
  const isOpenToAll = sources.some((list) => list.length === 0);
  const from = isOpenToAll ? [] : [...new Set(sources.flat())];
  return await openEgress({
    layout,
    vpc,
    namespace,
    sources: from,
    denied: deniedOf(found),
    allowedNetworks: guestNetworks,
  });
}

/** Destinations that the VPC's policy routes drop. */
function deniedOf(vpc: KubeObject): string[] {
  const routes = fieldAt(vpc.spec, 'policyRoutes');
  if (!Array.isArray(routes)) return [];
  return routes.flatMap((route) => {
    const network = /^ip4\.dst\s*==\s*([\d./]+)$/.exec(String(fieldAt(route, 'match')))?.[1];
    return fieldAt(route, 'action') === 'drop' && network !== undefined ? [network] : [];
  });
}

/** The networks that the gateway's policies name; none when it has no policies, which means the whole VPC here. */
function sourcesOf({ store }: ControllerContext, gateway: KubeObject): string[] {
  const policies = fieldAt(gateway.spec, 'policies');
  if (!Array.isArray(policies)) return [];
  return policies.flatMap((policy) => {
    const subnets = (fieldAt(policy, 'subnets') ?? []) as string[];
    const blocks = subnets.map((name) => store.get('Subnet', { name })?.spec?.['cidrBlock']);
    return [
      ...((fieldAt(policy, 'ipBlocks') ?? []) as string[]),
      ...blocks.filter((block) => typeof block === 'string'),
    ];
  });
}

async function writeStatus(
  { store, clock }: ControllerContext,
  gateway: KubeObject,
  { inside, outside }: { readonly inside: readonly string[]; readonly outside: readonly string[] },
): Promise<void> {
  const { name } = gateway.metadata;
  const now = timestamp(clock.now());
  await store.updateStatus('VpcEgressGateway', gateway.metadata, (status) => {
    Object.assign(status, {
      phase: 'Completed',
      ready: true,
      replicas: replicasOf(gateway),
      labelSelector: `app=vpc-egress-gateway,ovn.kubernetes.io/vpc-egress-gateway=${name}`,
      internalIPs: [...inside],
      externalIPs: [...outside],
      workload: { apiVersion: 'apps/v1', kind: 'Deployment', name, nodes: inside.length > 0 ? [NODE_NAME] : [] },
    });
    for (const type of ['Init', 'Validated', 'Ready']) {
      setCondition(status, { type, status: 'True', reason: `${type}Success` }, now);
    }
  });
}
