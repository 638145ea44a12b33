import {
  firstHost,
  formatIpv4Network,
  type Ipv4Network,
  lastHost,
  overlap,
  parseIpv4,
  parseIpv4Network,
} from '../../text/ipv4.ts';
import { type Parsed, quoted } from './parsed.ts';

/** Reads a dotted address as an unsigned number. */
export function readIpv4(written: unknown): Parsed<number> {
  const value = parseIpv4(written);
  return value === undefined ? { complaint: `${quoted(written)} is not an IPv4 address` } : { value };
}

/** Reads `10.0.2.0/24`; the address must be the network's first. */
export function parseCidr(written: unknown): Parsed<Ipv4Network> {
  const network = parseIpv4Network(written);
  if (!network) return { complaint: `${quoted(written)} ${notANetwork(String(written))}` };
  if (parseIpv4(String(written).split('/')[0]) === network.base) return { value: network };
  const meant = formatIpv4Network(network);
  return { complaint: `${quoted(written)} is not the first address of its network: write "${meant}"` };
}

function notANetwork(written: string): string {
  if (/^[0-9a-f:]*:[0-9a-f:.]*(\/\d+)?$/i.test(written)) return 'is an IPv6 network: the networks of modules are IPv4';
  const [, address, mask] = /^([\d.]+)\/([\d.]+)$/.exec(written) ?? [];
  const ones = parseIpv4(mask)?.toString(2).padStart(32, '0') ?? '';
  if (/^1+0*$/.test(ones)) return `has a netmask: write "${address}/${ones.replaceAll('0', '').length}"`;
  return 'is not an IPv4 network: write one such as "10.0.2.0/24"';
}

/** Networks whose addresses a network card cannot have (RFC 6890). */
const SPECIAL_NETWORKS: readonly (readonly [string, string])[] = [
  ['0.0.0.0/8', 'addresses of "this host"'],
  ['127.0.0.0/8', 'loopback addresses'],
  ['169.254.0.0/16', 'link-local addresses'],
  ['224.0.0.0/4', 'multicast addresses'],
  ['240.0.0.0/4', 'reserved addresses'],
];

/** Purpose of a network whose addresses a network card cannot have. */
export function specialUse(network: Ipv4Network): string | undefined {
  return SPECIAL_NETWORKS.find(([special]) => {
    const reserved = parseIpv4Network(special);
    return reserved && overlap(reserved, network);
  })?.[1];
}

/**
 * The address that the platform's router has: the first host of a managed subnet; the second-to-last host of an
 * unmanaged one, whose first host is left to the guest that is its gateway.
 */
export function routerAddress(network: Ipv4Network, { unmanaged }: { readonly unmanaged: boolean }): number {
  return unmanaged ? lastHost(network) - 1 : firstHost(network);
}
