import { shortHash } from '../host/layout.ts';
import { bridgeName } from './bridges.ts';
import { hasNamespace, interfacesOf, ipBatch } from './ip-command.ts';
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
  if ((await interfacesOf(namespace)).some(({ ifname, addr_info }) => ifname === 'eth0' && addr_info.length > 0))
    return;
  const peer = `p${shortHash(network.podUid, 10)}`;
  const isHalfMade = (await interfacesOf(namespace)).some(({ ifname }) => ifname === 'eth0');
  await ipBatch(namespace, [
    ...(isHalfMade ? ['link del eth0'] : []),
    `link add eth0 address ${mac} type veth peer name ${peer} netns ${vpcNamespace}`,
  ]);
  await ipBatch(vpcNamespace, [`link set ${peer} master ${bridgeName(subnet)} up`]);
  await ipBatch(namespace, ['link set eth0 up', `addr add ${address} dev eth0`, `route add default via ${gateway}`]);
}

/** Makes a namespace without any network: the pod reaches only itself. */
export async function ensureLonelyNamespace(namespace: string): Promise<void> {
  if (!(await hasNamespace(namespace))) await ensureNamespace(namespace, { isRouter: false });
}
