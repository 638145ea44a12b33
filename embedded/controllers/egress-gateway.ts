import { fieldAt, type KubeObject, type ObjectKey, timestamp } from '../api/objects.ts';
import { closeEgress, openEgress } from '../network/egress.ts';
import { ensureNamespace, vpcNamespace } from '../network/namespaces.ts';
import { setCondition } from './conditions.ts';
import {
  type ControllerContext,
  ensureFinalizer,
  isDeleting,
  keyText,
  queueFor,
  removeFinalizers,
  textKeyOf,
} from './context.ts';
import { GatewayPods } from './gateway-pods.ts';
import { DEFAULT_VPC, type Networks } from './networks.ts';
import { NODE_NAME } from './vmi-status.ts';
import { KUBEOVN_FINALIZER } from './vpc.ts';
import type { WorkQueue } from './work-queue.ts';

/** VpcEgressGateways: a VPC has a way out exactly while one of its gateways has replicas, which take a moment to be ready. */
export function startEgressGatewayController(context: ControllerContext, networks: Networks): void {
  const { store, signal } = context;
  const pods = new GatewayPods(context, networks);
  const queue: WorkQueue = queueFor(context, 'VpcEgressGateway', async (key) => {
    const waitMs = await reconcile(context, pods, key);
    if (waitMs > 0) queue.add(keyText(key), waitMs);
  });
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

/** Returns when to look again, in ms; 0: when something changes. */
async function reconcile(context: ControllerContext, pods: GatewayPods, key: ObjectKey): Promise<number> {
  const { store } = context;
  const gateway = store.get('VpcEgressGateway', key);
  if (!gateway) return 0;
  const vpc = vpcOf(gateway);
  if (isDeleting(gateway)) {
    await converge(context, vpc);
    await removeFinalizers(store, gateway, [KUBEOVN_FINALIZER]);
    return 0;
  }
  await ensureFinalizer(store, gateway, KUBEOVN_FINALIZER);
  const { addresses, waitMs } = await pods.ensure(gateway, { vpc, replicas: replicasOf(gateway) });
  if (waitMs > 0) {
    await writeStatus(context, gateway, { inside: addresses, outside: [], isReady: false });
    return waitMs;
  }
  const transit = await converge(context, vpc);
  const outside = addresses.length > 0 && transit ? [transit.host] : [];
  await writeStatus(context, gateway, { inside: addresses, outside, isReady: true });
  return 0;
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
  { inside, outside, isReady }: { inside: readonly string[]; outside: readonly string[]; isReady: boolean },
): Promise<void> {
  const { name } = gateway.metadata;
  const now = timestamp(clock.now());
  await store.updateStatus('VpcEgressGateway', gateway.metadata, (status) => {
    Object.assign(status, {
      phase: isReady ? 'Completed' : 'Processing',
      ready: isReady,
      replicas: replicasOf(gateway),
      labelSelector: `app=vpc-egress-gateway,ovn.kubernetes.io/vpc-egress-gateway=${name}`,
      internalIPs: [...inside],
      externalIPs: [...outside],
      workload: { apiVersion: 'apps/v1', kind: 'Deployment', name, nodes: inside.length > 0 ? [NODE_NAME] : [] },
    });
    for (const type of ['Init', 'Validated']) {
      setCondition(status, { type, status: 'True', reason: `${type}Success` }, now);
    }
    const waiting = {
      status: 'False',
      reason: 'Processing',
      message: `Waiting for Deployment ${name} to be ready`,
    } as const;
    const ready = isReady ? ({ status: 'True', reason: 'ReconcileSuccess' } as const) : waiting;
    setCondition(status, { type: 'Ready', ...ready }, now);
  });
}
