import { FarmError } from '../../common/errors/farm-error.ts';

/** An IPv4 network. */
export interface Cidr {
  /** The network address as a number. */
  readonly base: number;
  readonly prefixLength: number;
  /** How many addresses it has, network and broadcast included. */
  readonly size: number;
}

/** Reads a dotted address; undefined when it is none. */
export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text.trim());
  if (!match) return undefined;
  const octets = match.slice(1).map(Number);
  if (octets.some((octet) => octet > 255)) return undefined;
  return octets.reduce((sum, octet) => sum * 256 + octet, 0);
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

/** Reads the IPv4 part of a KubeOVN `cidrBlock` (dual stack: two, separated by a comma). */
export function parseCidr(text: string): Cidr {
  const part = text.split(',').find((candidate) => candidate.includes('.')) ?? '';
  const [address = '', length = ''] = part.trim().split('/');
  const base = parseIpv4(address);
  const prefixLength = Number(length);
  if (base === undefined || length === '' || !(prefixLength >= 8 && prefixLength <= 30)) {
    throw new FarmError('ExceedsLimits', `"${text}" is not an IPv4 network with a prefix length of 8 to 30`);
  }
  const size = 2 ** (32 - prefixLength);
  return { base: base - (base % size), prefixLength, size };
}

export function isWithin(cidr: Cidr, address: string): boolean {
  const value = parseIpv4(address);
  return value !== undefined && value >= cidr.base && value < cidr.base + cidr.size;
}

export function netmaskOf(cidr: Cidr): string {
  return formatIpv4(2 ** 32 - cidr.size);
}

/** KubeOVN's default gateway: the first address. */
export function firstAddress(cidr: Cidr): string {
  return formatIpv4(cidr.base + 1);
}

/** What an allocation looks at. */
export interface AllocationRequest {
  readonly cidr: Cidr;
  /** Single addresses and ranges `a..b`, the gateway among them. */
  readonly excluded: readonly string[];
  readonly used: ReadonlySet<string>;
}

/** The lowest free address; undefined when there is none. */
export function nextFreeAddress({ cidr, excluded, used }: AllocationRequest): string | undefined {
  const ranges = excluded.map(parseRange);
  for (let value = cidr.base + 1; value < cidr.base + cidr.size - 1; value++) {
    const address = formatIpv4(value);
    if (!used.has(address) && !ranges.some(([from, to]) => value >= from && value <= to)) return address;
  }
  return undefined;
}

/** How many addresses could be given away in all. */
export function capacityOf(cidr: Cidr, excluded: readonly string[]): number {
  const usable = { from: cidr.base + 1, to: cidr.base + cidr.size - 2 };
  const taken = excluded.map(parseRange).map(([from, to]) => {
    return Math.max(0, Math.min(to, usable.to) - Math.max(from, usable.from) + 1);
  });
  return Math.max(0, cidr.size - 2 - taken.reduce((sum, count) => sum + count, 0));
}

function parseRange(text: string): readonly [number, number] {
  const [from = '', to = from] = text.split('..');
  return [parseIpv4(from) ?? -1, parseIpv4(to) ?? -1];
}
