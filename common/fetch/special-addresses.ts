import { BlockList, isIP } from 'node:net';
import { parseIpv4 } from '../text/ipv4.ts';

type Networks = readonly (readonly [network: string, bits: number])[];

/** Where metadata services of clouds answer, and the link-local networks: no URL of a user has business there. */
export const METADATA_IPV4: Networks = [
  ['169.254.0.0', 16],
  // Alibaba, Azure, Oracle.
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.192', 32],
];
const METADATA_IPV6: Networks = [
  ['fe80::', 10],
  // Amazon (and its credentials of pods), Google, Oracle, Scaleway, Akamai, Alibaba.
  ['fd00:ec2::', 32],
  ['fd20:ce::254', 128],
  ['fd00:c1::a9fe:a9fe', 128],
  ['fd00:42::42', 128],
  ['fd00:a9fe:a9fe::1', 128],
  ['fd00:100::100:200', 128],
];

/** IPv6 networks whose last 32 bits are an IPv4 address: compatible, NAT64 (RFC 6052, 8215), stateless translation. */
const CARRIERS = ['::', '64:ff9b::', '64:ff9b:1::', '::ffff:0:'] as const;

/** Networks outside the public Internet (IANA's special-purpose registries), or that lead to such addresses. */
export const PRIVATE_IPV4: Networks = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
];
const DOCUMENTATION_IPV4: Networks = [
  ['192.0.2.0', 24],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
];
const PRIVATE_IPV6: Networks = [
  ['::', 96],
  ['::ffff:0:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  // Teredo, benchmarks, ORCHID and other protocols' own.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4.
  ['2002::', 16],
  ['3fff::', 20],
  ['5f00::', 16],
  ['fc00::', 7],
  ['fec0::', 10],
  ['ff00::', 8],
];

const metadata = listOf(METADATA_IPV4, METADATA_IPV6);
const restricted = listOf([...PRIVATE_IPV4, ...DOCUMENTATION_IPV4], PRIVATE_IPV6);
for (const [network, bits] of METADATA_IPV4) {
  for (const carrier of CARRIERS) metadata.addSubnet(`${carrier}${network}`, 96 + bits, 'ipv6');
  metadata.addSubnet(`2002:${hexOf(network)}::`, 16 + bits, 'ipv6');
}

/** `forbidden` is never reached, `private` only where the configuration allows it; names are neither. */
export type AddressKind = 'public' | 'private' | 'forbidden';

/** Kind of an address. A mapped one (`::ffff:10.0.0.1`) is judged by the IPv4 address in it. */
export function addressKind(address: string): AddressKind {
  const family = familyOf(address);
  if (family === undefined) return 'public';
  if (metadata.check(address, family)) return 'forbidden';
  return restricted.check(address, family) ? 'private' : 'public';
}

/** Undefined for text that is not an IP address. */
export function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = isIP(address);
  return version === 0 ? undefined : version === 4 ? 'ipv4' : 'ipv6';
}

function listOf(ipv4: Networks, ipv6: Networks): BlockList {
  const list = new BlockList();
  for (const [network, bits] of ipv4) list.addSubnet(network, bits, 'ipv4');
  for (const [network, bits] of ipv6) list.addSubnet(network, bits, 'ipv6');
  return list;
}

/** `169.254.0.0` as `a9fe:0000`. */
function hexOf(ipv4: string): string {
  const hex = (parseIpv4(ipv4) ?? 0).toString(16).padStart(8, '0');
  return `${hex.slice(0, 4)}:${hex.slice(4)}`;
}
