import { errorMessage } from '../../common/errors/farm-error.ts';
import { type KubeObject, type ObjectKey, timestamp } from '../api/objects.ts';
import { setCondition } from './conditions.ts';
import { type ControllerContext, ensureFinalizer, isDeleting, queueFor, removeFinalizers } from './context.ts';
import type { Networks, SubnetSettings } from './networks.ts';
import { KUBEOVN_FINALIZER } from './vpc.ts';

/** Subnets: a bridge with the gateway's address and a DHCP server each. One that has addresses in use does not go. */
export function startSubnetController(context: ControllerContext, networks: Networks): void {
  const { store, signal } = context;
  const queue = queueFor(context, 'Subnet', (key) => reconcile(context, networks, key));
  store.subscribe(['IP'], ({ object }) => queue.add(String(object.spec?.['subnet'])), signal);
  const wakeAll = () => {
    for (const { metadata } of store.list('Subnet')) queue.add(metadata.name);
  };
  store.subscribe(['Vpc'], ({ type }) => (type === 'ADDED' ? wakeAll() : undefined), signal);
}

async function reconcile(context: ControllerContext, networks: Networks, key: ObjectKey): Promise<void> {
  const { store } = context;
  const subnet = store.get('Subnet', key);
  if (!subnet) return;
  if (isDeleting(subnet)) return await remove(context, networks, subnet);
  await ensureFinalizer(store, subnet, KUBEOVN_FINALIZER);
  try {
    const plan = networks.plan(subnet);
    if (!store.get('Vpc', { name: plan.vpc })) throw new Error(`The Vpc "${plan.vpc}" does not exist`);
    await writeBack(context, subnet, plan);
    if (isOverlay(plan)) await prepareSubnet(networks, subnet);
    await writeStatus(context, networks, { subnet, plan });
  } catch (error) {
    await reportError(context, subnet, errorMessage(error));
    throw error;
  }
}

/** Whether KubeOVN carries the network itself; any other provider is a network of the nodes, such as the way out. */
function isOverlay({ provider }: SubnetSettings): boolean {
  return provider === 'ovn' || provider.endsWith('.ovn');
}

/** Makes the namespace, the bridge and the DHCP server of a subnet, unless they are there. */
export async function prepareSubnet(networks: Networks, subnet: KubeObject): Promise<void> {
  const plan = networks.plan(subnet);
  await networks.ensureBridge(plan);
  await networks.dhcpServer(plan).ensure(networks.dhcpOptions(subnet));
}

/** KubeOVN writes its defaults into the specification. */
async function writeBack({ store }: ControllerContext, subnet: KubeObject, plan: SubnetSettings): Promise<void> {
  await store.mutate('Subnet', subnet.metadata, (draft) => {
    draft.spec = {
      ...draft.spec,
      vpc: plan.vpc,
      gateway: draft.spec?.['gateway'] || plan.gateway,
      excludeIps: [...plan.excluded],
      protocol: draft.spec?.['protocol'] || 'IPv4',
      provider: plan.provider,
      enableLb: draft.spec?.['enableLb'] ?? false,
    };
  });
}

async function writeStatus(
  { store, clock }: ControllerContext,
  networks: Networks,
  { subnet, plan }: { readonly subnet: KubeObject; readonly plan: SubnetSettings },
): Promise<void> {
  const { available, using } = networks.counts(plan);
  const now = timestamp(clock.now());
  await store.updateStatus('Subnet', subnet.metadata, (status) => {
    Object.assign(status, { v4availableIPs: available, v4usingIPs: using, v6availableIPs: 0, v6usingIPs: 0 });
    status['activateGateway'] ??= '';
    setCondition(status, { type: 'Validated', status: 'True', reason: 'ValidateLogicalSwitchSuccess' }, now);
    setCondition(status, { type: 'Ready', status: 'True', reason: 'ResetLogicalSwitchAclSuccess' }, now);
    setCondition(status, { type: 'Error', status: 'False', reason: 'ResetLogicalSwitchAclSuccess' }, now);
  });
}

async function reportError({ store, clock, events }: ControllerContext, subnet: KubeObject, message: string) {
  const now = timestamp(clock.now());
  await store.updateStatus('Subnet', subnet.metadata, (status) => {
    setCondition(status, { type: 'Ready', status: 'False', reason: 'InitFailed', message }, now);
    setCondition(status, { type: 'Error', status: 'True', reason: 'InitFailed', message }, now);
  });
  events.record(subnet, { type: 'Warning', reason: 'InitFailed', message });
}

async function remove(context: ControllerContext, networks: Networks, subnet: KubeObject): Promise<void> {
  if (networks.addressesIn(subnet.metadata.name).length > 0) {
    await context.store.updateStatus('Subnet', subnet.metadata, (status) => {
      status['v4usingIPs'] = networks.addressesIn(subnet.metadata.name).length;
    });
    return;
  }
  try {
    const plan = networks.plan(subnet);
    if (!isOverlay(plan)) return;
    await networks.remove(plan);
  } finally {
    await removeFinalizers(context.store, subnet, [KUBEOVN_FINALIZER]);
  }
}
