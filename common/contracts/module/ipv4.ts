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
  if ('complaint' in parsed || prefix > 32) {
    return { complaint: `${quoted(written)} is not an IPv4 network: write one such as "10.0.2.0/24"` };
  }
  const size = 2 ** (32 - prefix);
  const base = Math.floor(parsed.value / size) * size;
  if (base === parsed.value) return { value: { base, prefix } };
  return {
    complaint: `${quoted(written)} is not the first address of its network: write "${formatIpv4(base)}/${prefix}"`,
  };
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
