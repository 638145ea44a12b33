/** An IPv4 network: its first address as a number, and the length of its prefix. */
export interface Ipv4Network {
  readonly base: number;
  readonly prefix: number;
}

/** Reads a dotted address as an unsigned number; undefined when it is none. No part has leading zeros: some read them as octal. */
export function parseIpv4(written: unknown): number | undefined {
  if (typeof written !== 'string' || !/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(written)) return undefined;
  const bytes = written.split('.').map(Number);
  return bytes.some((byte) => byte > 255) ? undefined : bytes.reduce((number, byte) => number * 256 + byte, 0);
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

/** Reads `10.0.2.7/24` as the network `10.0.2.0/24`; undefined when it is none. */
export function parseIpv4Network(written: unknown): Ipv4Network | undefined {
  const [, address, length] = /^([^/]+)\/(\d{1,2})$/.exec(String(written)) ?? [];
  const value = parseIpv4(address);
  const prefix = Number(length);
  if (value === undefined || prefix > 32) return undefined;
  return { base: value - (value % 2 ** (32 - prefix)), prefix };
}

export function formatIpv4Network({ base, prefix }: Ipv4Network): string {
  return `${formatIpv4(base)}/${prefix}`;
}

/** How many addresses it has, those of the network and of broadcasts included. */
export function addressCount({ prefix }: Ipv4Network): number {
  return 2 ** (32 - prefix);
}

/** Network and broadcast address are not for hosts. */
export function firstHost(network: Ipv4Network): number {
  return network.base + 1;
}

export function lastHost(network: Ipv4Network): number {
  return network.base + addressCount(network) - 2;
}

export function isInNetwork(network: Ipv4Network, address: number): boolean {
  return address >= network.base && address < network.base + addressCount(network);
}

export function overlap(a: Ipv4Network, b: Ipv4Network): boolean {
  return isInNetwork(a, b.base) || isInNetwork(b, a.base);
}
