import { formatIpv4, formatIpv4Network, type Ipv4Network, parseIpv4 } from '../../common/text/ipv4.ts';
import { type HostLayout, shortHash } from '../host/layout.ts';
import { runCommand } from '../host/run-command.ts';
import { firstAddress, networkOfCidrBlock } from './addresses.ts';
import { bridgeName, ensureBridge } from './bridges.ts';
import { openEgress } from './egress.ts';
import { interfacesOf } from './ip-command.ts';
import { ensureNamespace, vpcNamespace } from './namespaces.ts';

/** Pod networks are taken from the shared address space of RFC 6598, behind those of transit networks. */
const RANGE_BASE = '100.84.0.0';
const RANGE_BITS = 22;
const RANGE_COUNT = 256;
const NAME = 'pods';

/** The pod network of a cluster: a bridge in a namespace that routes to the host and, translated, to the internet. */
export interface PodRange {
  readonly namespace: string;
  /** Name of its bridge's subnet. */
  readonly subnet: string;
  readonly cidr: Ipv4Network;
  readonly gateway: string;
  /** Where this process stands when it connects to a pod. */
  readonly host: string;
}

/** Makes the pod network, or finds it again. The host reaches pods, as a node does; no pod reaches the host. */
export async function ensurePodRange(layout: HostLayout, allowedNetworks: readonly string[]): Promise<PodRange> {
  const namespace = vpcNamespace(layout, NAME);
  await ensureNamespace(namespace, { isRouter: true });
  const cidr = (await knownRange(namespace)) ?? (await freeRange(layout));
  const gateway = firstAddress(cidr);
  await ensureBridge({ namespace, subnet: NAME, address: `${gateway}/${cidr.prefix}` });
  const { inside, host } = await openEgress({ layout, vpc: NAME, namespace, sources: [], denied: [], allowedNetworks });
  await runCommand('ip', ['route', 'replace', formatIpv4Network(cidr), 'via', inside]);
  return { namespace, subnet: NAME, cidr, gateway, host };
}

async function knownRange(namespace: string): Promise<Ipv4Network | undefined> {
  const bridge = (await interfacesOf(namespace)).find(({ ifname }) => ifname === bridgeName(NAME));
  const [address] = bridge?.addr_info ?? [];
  return address && networkOfCidrBlock(`${address.local}/${address.prefixlen}`);
}

/** One that no route of this host leads to: other clusters have theirs. */
async function freeRange({ dataDir }: HostLayout): Promise<Ipv4Network> {
  const routes = JSON.parse((await runCommand('ip', ['-j', '-4', 'route', 'show'])) || '[]') as { dst: string }[];
  const taken = new Set(routes.map(({ dst }) => dst));
  const base = parseIpv4(RANGE_BASE) ?? 0;
  const first = Number.parseInt(shortHash(`${dataDir}/${NAME}`, 8), 16);
  for (let offset = 0; ; offset += 1) {
    const index = (first + offset) % RANGE_COUNT;
    const cidr = networkOfCidrBlock(`${formatIpv4(base + index * 2 ** (32 - RANGE_BITS))}/${RANGE_BITS}`);
    if (!taken.has(formatIpv4Network(cidr)) || offset > RANGE_COUNT) return cidr;
  }
}
