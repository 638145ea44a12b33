import { type Parsed, quoted } from './parsed.ts';

/** An IPv4 network: its first address as a number, and the length of its prefix. */
export interface Ipv4Network {
  readonly base: number;
  readonly prefix: number;
}

/** Reads a dotted address as an unsigned number. */
export function parseIpv4(written: unknown): Parsed<number> {
  const parts = typeof written === 'string' && /^\d{1,3}(\.\d{1,3}){3}$/.test(written) ? written.split('.') : [];
  const bytes = parts.map(Number);
  if (bytes.length !== 4 || bytes.some((byte) => byte > 255) || parts.some((part) => /^0\d/.test(part))) {
    return { complaint: `${quoted(written)} is not an IPv4 address` };
  }
  return { value: bytes.reduce((number, byte) => number * 256 + byte, 0) };
}

/** Reads `10.0.2.0/24`; the address must be the network's first. */
export function parseCidr(written: unknown): Parsed<Ipv4Network> {
  const [, address, length] = /^([^/]+)\/(\d{1,2})$/.exec(String(written)) ?? [];
  const parsed = parseIpv4(address);
  const prefix = Number(length);
  if ('complaint' in parsed || prefix > 32) return { complaint: `${quoted(written)} ${notANetwork(String(written))}` };
  const size = 2 ** (32 - prefix);
  const base = Math.floor(parsed.value / size) * size;
  if (base === parsed.value) return { value: { base, prefix } };
  return {
    complaint: `${quoted(written)} is not the first address of its network: write "${formatIpv4(base)}/${prefix}"`,
  };
}

function notANetwork(written: string): string {
  if (/^[0-9a-f:]*:[0-9a-f:.]*(\/\d+)?$/i.test(written)) return 'is an IPv6 network: the networks of modules are IPv4';
  const [, address, mask] = /^([\d.]+)\/([\d.]+)$/.exec(written) ?? [];
  const bits = parseIpv4(mask);
  const ones = 'value' in bits ? bits.value.toString(2).padStart(32, '0') : '';
  if (/^1+0*$/.test(ones)) return `has a netmask: write "${address}/${ones.replaceAll('0', '').length}"`;
  return 'is not an IPv4 network: write one such as "10.0.2.0/24"';
}

/** Networks whose addresses no card can have (RFC 6890). */
const SPECIAL_NETWORKS: readonly (readonly [string, string])[] = [
  ['0.0.0.0/8', 'addresses of "this host"'],
  ['127.0.0.0/8', 'loopback addresses'],
  ['169.254.0.0/16', 'link-local addresses'],
  ['224.0.0.0/4', 'multicast addresses'],
  ['240.0.0.0/4', 'reserved addresses'],
];

/** What the addresses of a network are for, when no card can have them. */
export function specialUse(network: Ipv4Network): string | undefined {
  return SPECIAL_NETWORKS.find(([special]) => {
    const parsed = parseCidr(special);
    return 'value' in parsed && overlap(parsed.value, network);
  })?.[1];
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

/** Network and broadcast address are not for hosts. */
export function firstHost(network: Ipv4Network): number {
  return network.base + 1;
}

export function lastHost(network: Ipv4Network): number {
  return network.base + 2 ** (32 - network.prefix) - 2;
}

export function overlap(a: Ipv4Network, b: Ipv4Network): boolean {
  const wider = Math.min(a.prefix, b.prefix);
  const size = 2 ** (32 - wider);
  return Math.floor(a.base / size) === Math.floor(b.base / size);
}

/**
 * The address that the platform's router has: the first host of a managed subnet; the second-to-last host of an
 * unmanaged one, whose first host is left to the guest that is its gateway.
 */
export function routerAddress(network: Ipv4Network, unmanaged: boolean): number {
  return unmanaged ? lastHost(network) - 1 : firstHost(network);
}
