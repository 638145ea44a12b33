import { shortHash } from '../host/layout.ts';
import { bridgeName } from './bridges.ts';
import { hasNamespace, interfacesOf, ip, runSteps, setting } from './ip-command.ts';
import { ensureNamespace } from './namespaces.ts';

/** A pod's only network. */
export interface PodNetwork {
  readonly namespace: string;
  readonly podUid: string;
  readonly vpcNamespace: string;
  readonly subnet: string;
  /** With prefix length. */
  readonly address: string;
  readonly mac: string;
  readonly gateway: string;
}

/** Makes the pod's namespace with `eth0` in the subnet and the default route through the gateway. */
export async function ensurePodNetwork(network: PodNetwork): Promise<void> {
  const { namespace, vpcNamespace, subnet, address, mac, gateway } = network;
  await ensureNamespace(namespace, { isRouter: false });
  const card = (await interfacesOf(namespace)).find(({ ifname }) => ifname === 'eth0');
  if (card && card.addr_info.length > 0) return;
  const peer = `p${shortHash(network.podUid, 10)}`;
  await runSteps([
    ...(card ? [ip(namespace, 'link del eth0')] : []),
    ip(namespace, `link add eth0 address ${mac} type veth peer name ${peer} netns ${vpcNamespace}`),
    ip(vpcNamespace, `link set ${peer} master ${bridgeName(subnet)} up`),
    ip(namespace, 'link set eth0 up'),
    // A guest is found a moment after its card is up, not at the next full second: ARP asks ten times a second, for 3 s.
    setting(namespace, 'net/ipv4/neigh/eth0/retrans_time_ms', 100),
    setting(namespace, 'net/ipv4/neigh/eth0/mcast_solicit', 30),
    ip(namespace, `addr add ${address} dev eth0`),
    ip(namespace, `route add default via ${gateway}`),
  ]);
}

/** Makes a namespace without any network: the pod reaches only itself. */
export async function ensureLonelyNamespace(namespace: string): Promise<void> {
  if (!(await hasNamespace(namespace))) await ensureNamespace(namespace, { isRouter: false });
}
