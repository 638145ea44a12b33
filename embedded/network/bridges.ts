import { KeyedMutex } from '../host/keyed-mutex.ts';
import { shortHash } from '../host/layout.ts';
import { interfacesOf, ip, removeInterfaces, runSteps, setting } from './ip-command.ts';
import { acceptOnly, deliverTo, forgetPorts, type Sender } from './port-security.ts';

const mutex = new KeyedMutex();
/** Forwards at once: no loop can be built here that a protocol would have to find. */
const BRIDGE = 'type bridge forward_delay 0 stp_state 0 mcast_snooping 0';

/** The bridge of a subnet within its VPC's namespace. */
export function bridgeName(subnet: string): string {
  return `br${shortHash(subnet, 10)}`;
}

/** A subnet as a bridge that carries the gateway's address. */
export interface BridgeOptions {
  readonly namespace: string;
  readonly subnet: string;
  /** Gateway with prefix length. */
  readonly address: string;
  readonly mtu?: number;
}

/** Makes the bridge of a subnet, unless it is there. */
export async function ensureBridge({ namespace, subnet, address, mtu }: BridgeOptions): Promise<void> {
  const bridge = bridgeName(subnet);
  await mutex.run(`${namespace}/${bridge}`, async () => {
    const found = (await interfacesOf(namespace)).find(({ ifname }) => ifname === bridge);
    if (found?.addr_info.some(({ local }) => address.startsWith(`${local}/`))) return;
    await runSteps([
      ...(found ? [] : [ip(namespace, `link add ${bridge} ${BRIDGE}`)]),
      ip(namespace, `addr replace ${address} dev ${bridge}`),
      ip(namespace, `link set ${bridge} ${mtu === undefined ? '' : `mtu ${mtu} `}up`),
    ]);
  });
}

export async function removeBridge(namespace: string, subnet: string): Promise<void> {
  await removeInterfaces(namespace, [bridgeName(subnet)]);
}

/** A virtual cable between a machine's card and a subnet. */
export interface TapOptions {
  /** Unique per card, e.g. uid of the VMI and name of the card. */
  readonly id: string;
  /** Where QEMU runs. */
  readonly machineNamespace: string;
  /** Where the subnet's bridge is. */
  readonly vpcNamespace: string;
  readonly subnet: string;
  /** User that may attach QEMU to it besides root. */
  readonly user: number | undefined;
  /** Addresses of the card in its subnet: frames for other addresses do not reach it. Without it the bridge learns of the card by itself. */
  readonly address?: Sender;
  /** Whether the card may send under that address only. */
  readonly isSecured?: boolean;
}

/** The tap's name in QEMU's namespace. */
export function tapName(id: string): string {
  return `t${shortHash(id, 10)}`;
}

/**
 * Makes a tap on the subnet's bridge, unless it is there. QEMU runs in one namespace; a card in another VPC gets a
 * bridge of its own beside QEMU (without address, so it is not routed) and a veth pair into that VPC.
 */
export async function ensureTap(options: TapOptions): Promise<string> {
  const { id, machineNamespace, vpcNamespace, subnet, user = 0, address, isSecured } = options;
  const tap = tapName(id);
  const isLocal = machineNamespace === vpcNamespace;
  const port = { namespace: vpcNamespace, device: isLocal ? tap : `z${tap}` };
  const bridge = isLocal ? bridgeName(subnet) : `x${tap}`;
  if (!isLocal) {
    const isThere = (await interfacesOf(machineNamespace)).some(({ ifname }) => ifname === tap);
    if (!isThere) await connectBridge({ bridge, tap, ...options });
  }
  const steps = [
    ip(machineNamespace, `tuntap add dev ${tap} mode tap user ${user}`),
    ip(machineNamespace, `link set ${tap} master ${bridge}`),
    ...(address ? deliverTo(port, address) : []),
    ...(address && isSecured ? acceptOnly(port, address) : []),
    ip(machineNamespace, `link set ${tap} up`),
  ];
  await runSteps(steps, { unless: ip(machineNamespace, `link show dev ${tap}`) });
  return tap;
}

async function connectBridge(options: TapOptions & { bridge: string; tap: string }): Promise<void> {
  const { bridge, tap, machineNamespace, vpcNamespace, subnet } = options;
  await removeInterfaces(machineNamespace, [bridge, `y${tap}`]);
  await runSteps([
    ip(machineNamespace, `link add ${bridge} ${BRIDGE}`),
    ip(machineNamespace, `link set ${bridge} up`),
    ip(machineNamespace, `link add y${tap} type veth peer name z${tap} netns ${vpcNamespace}`),
    ip(machineNamespace, `link set y${tap} master ${bridge} up`),
    // The namespace of the machine routes for its own VPC. Packets from the other VPC must not be routed: a source
    // that must be reachable over this bridge never is, because no route leads there.
    setting(machineNamespace, `net/ipv4/conf/${bridge}/rp_filter`, 1),
    setting(machineNamespace, `net/ipv4/conf/${bridge}/forwarding`, 0),
    ip(vpcNamespace, `link set z${tap} master ${bridgeName(subnet)} up`),
  ]);
}

/** Removes what `ensureTap` made, in the namespace of the machine or that of the card's VPC. */
export async function removeTap(namespace: string, id: string, isSecured: boolean): Promise<void> {
  const tap = tapName(id);
  await removeInterfaces(namespace, [tap, `y${tap}`, `x${tap}`]);
  if (isSecured) await forgetPorts(namespace, [tap, `z${tap}`]);
}
