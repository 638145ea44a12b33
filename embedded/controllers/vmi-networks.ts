import { FarmError } from '../../common/errors/farm-error.ts';
import { fieldAt } from '../api/objects.ts';
import { ensureTap, removeTap } from '../network/bridges.ts';
import { namespacePath } from '../network/ip-command.ts';
import { NIC_DEVICES, type NicModel, type NicSpec } from '../qemu/machine-spec.ts';
import { type Address, ensureAddress } from './addresses.ts';
import type { MachineNetworks } from './cluster-network.ts';
import { type ControllerContext, hostUser, ownerOfKind, uidOf } from './context.ts';
import type { Vmi, VmiInterface, VmiNetwork } from './kubevirt-types.ts';
import type { Networks, SubnetSettings } from './networks.ts';
import { prepareSubnet } from './subnet.ts';

/** A card with its network. */
interface Plug {
  readonly card: VmiInterface;
  readonly plan?: SubnetSettings;
  readonly address?: Address;
  readonly isSecured?: boolean;
}

/** Lets a card send under its own address only. */
const PORT_SECURITY = 'port_security';

/** KubeOVN's annotations of one card: `<nad>.<ns>.ovn.kubernetes.io/...`. */
function annotation(vmi: Vmi, provider: string, name: string): string | undefined {
  return vmi.metadata.annotations?.[`${provider}.kubernetes.io/${name}`];
}

/** Splits a Multus network name; the namespace is the VMI's unless it is given. */
function attachmentKey(vmi: Vmi, { multus }: VmiNetwork) {
  const [first = '', second] = (multus?.networkName ?? '').split('/');
  return second === undefined
    ? { namespace: vmi.metadata.namespace ?? '', name: first }
    : { namespace: first, name: second };
}

/** Gives every card its address, its DHCP reservation and its cable. May be called any number of times. */
export async function connectMachine(
  context: ControllerContext,
  networks: Networks,
  vmi: Vmi,
): Promise<MachineNetworks> {
  const cards = (vmi.spec.domain.devices.interfaces ?? []).filter(({ state }) => state !== 'absent');
  const plugs = await Promise.all(cards.map((card) => plugIn(context, networks, { vmi, card })));
  const machineNamespace = plugs.find(({ plan }) => plan)?.plan?.namespace;
  const nics: NicSpec[] = [];
  const user = hostUser(context, vmi);
  for (const plug of plugs) nics.push(await toNic(plug, { vmi, machineNamespace, user }));
  return { nics, namespace: machineNamespace === undefined ? undefined : namespacePath(machineNamespace) };
}

async function plugIn(
  context: ControllerContext,
  networks: Networks,
  { vmi, card }: { readonly vmi: Vmi; readonly card: VmiInterface },
): Promise<Plug> {
  const network = (vmi.spec.networks ?? []).find(({ name }) => name === card.name);
  if (!network?.multus) return { card };
  const attachment = attachmentKey(vmi, network);
  const provider = `${attachment.name}.${attachment.namespace}.ovn`;
  const { plan, subnet } = networks.subnetOf(attachment, annotation(vmi, provider, 'logical_switch'));
  await prepareSubnet(networks, subnet);
  const address = await ensureAddress(context, networks, {
    namespace: vmi.metadata.namespace ?? '',
    owner: ownerOfKind(vmi, 'VirtualMachine')?.name ?? vmi.metadata.name,
    ownerType: 'VirtualMachine',
    subnet: plan,
    provider,
    requestedIp: annotation(vmi, provider, 'ip_address'),
    requestedMac: annotation(vmi, provider, 'mac_address') ?? card.macAddress,
  });
  const server = networks.dhcpServer(plan);
  // The network's own server may answer such a card, virt-launcher does not.
  if (isManagedTap(context, card) && !subnet.spec?.['enableDHCP']) await server.ignore(address.mac);
  else
    await server.reserve({
      ...address,
      hostname: vmi.spec.hostname ?? vmi.metadata.name,
      ...resolverOf(vmi),
    });
  return { card, plan, address, isSecured: annotation(vmi, provider, PORT_SECURITY) === 'true' };
}

/**
 * Whether a card is plugged in by a binding of KubeVirt's configuration, which leaves it to the network to answer DHCP.
 * @throws FarmError `ExceedsLimits` for a binding that is not there, or of another kind
 */
function isManagedTap({ store }: ControllerContext, { name, binding }: VmiInterface): boolean {
  if (binding === undefined) return false;
  const kinds = store
    .list('KubeVirt')
    .map(({ spec }) => fieldAt(spec, 'configuration', 'network', 'binding', binding.name, 'domainAttachmentType'));
  if (kinds.includes('managedTap')) return true;
  throw new FarmError('ExceedsLimits', `Interface "${name}": there is no managedTap network binding "${binding.name}"`);
}

/** DNS settings that KubeVirt gives the guest: those of the launcher pod, whose own domain is unknown here. */
export function resolverOf({ spec: { dnsPolicy, dnsConfig } }: Vmi) {
  const { nameservers = [], searches = [] } = (dnsPolicy === 'None' ? dnsConfig : undefined) ?? {};
  return { nameServers: nameservers, searches: searches.length > 0 ? searches : ['cluster.local'] };
}

interface Outlet {
  readonly vmi: Vmi;
  readonly machineNamespace: string | undefined;
  readonly user: number | undefined;
}

async function toNic({ card, plan, address, isSecured }: Plug, outlet: Outlet): Promise<NicSpec> {
  const { vmi, machineNamespace, user } = outlet;
  const tap =
    plan && address && machineNamespace
      ? await ensureTap({
          id: tapId(vmi, card),
          machineNamespace,
          vpcNamespace: plan.namespace,
          subnet: plan.name,
          user,
          address,
          isSecured: isSecured ?? false,
        })
      : undefined;
  return {
    name: card.name,
    model: modelOf(card),
    mac: (card.macAddress ?? address?.mac ?? '02:00:00:00:00:01').toLowerCase(),
    ...(tap === undefined ? {} : { tap }),
    ...(card.bootOrder === undefined ? {} : { bootOrder: card.bootOrder }),
    ...(card.pciAddress === undefined ? {} : { pciAddress: card.pciAddress }),
  };
}

function tapId(vmi: Vmi, card: VmiInterface): string {
  return `${uidOf(vmi)}/${card.name}`;
}

/** @throws FarmError `ExceedsLimits` for a card that is not known */
export function modelOf({ model = 'virtio' }: VmiInterface): NicModel {
  if (!Object.hasOwn(NIC_DEVICES, model)) throw new FarmError('ExceedsLimits', `Unknown card model "${model}"`);
  return model as NicModel;
}

/** Removes the cables and reservations of a machine that has ended; its addresses stay. */
export async function disconnectMachine({ store }: ControllerContext, networks: Networks, vmi: Vmi): Promise<void> {
  const owner = ownerOfKind(vmi, 'VirtualMachine')?.name ?? vmi.metadata.name;
  const cards = vmi.spec.domain.devices.interfaces ?? [];
  const isSecured = Object.keys(vmi.metadata.annotations ?? {}).some((key) => key.endsWith(`/${PORT_SECURITY}`));
  for (const address of store.list('IP')) {
    const { podName, namespace, subnet: subnetName, macAddress } = address.spec ?? {};
    if (podName !== owner || namespace !== vmi.metadata.namespace) continue;
    const subnet = store.get('Subnet', { name: String(subnetName) });
    if (!subnet) continue;
    const plan = networks.plan(subnet);
    await networks.dhcpServer(plan).release(String(macAddress));
    for (const card of cards) await removeTap(plan.namespace, tapId(vmi, card), isSecured);
  }
}
