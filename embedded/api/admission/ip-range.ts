import { isIPv6 } from 'node:net';
import { formatIpv4, parseIpv4 } from '../../../common/text/ipv4.ts';

/** An address as a number with its width: 32 or 128 bits. */
export interface IpAddress {
  readonly value: bigint;
  readonly bits: 32 | 128;
}

/** A CIDR block. */
export interface IpRange {
  readonly first: bigint;
  readonly last: bigint;
  readonly bits: 32 | 128;
  readonly prefix: number;
}

/** Reads an IPv4 or IPv6 address; undefined when it is none. */
export function parseIp(text: string): IpAddress | undefined {
  const ipv4 = parseIpv4(text);
  if (ipv4 !== undefined) return { value: BigInt(ipv4), bits: 32 };
  return isIPv6(text) && !text.includes('%') ? { value: fromGroups(groupsOf(text)), bits: 128 } : undefined;
}

function fromGroups(groups: readonly number[]): bigint {
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** The eight groups of an IPv6 address. */
function groupsOf(text: string): number[] {
  const plain = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => '0');
  return [...left, ...middle, ...right].map((group) => Number.parseInt(group, 16));
}

/** Reads a CIDR block; undefined when it is none. Host bits are permitted and ignored. */
export function parseRange(text: string): IpRange | undefined {
  const [base = '', length = '', ...more] = text.split('/');
  const address = parseIp(base);
  if (!address || more.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > address.bits) return undefined;
  const prefix = Number(length);
  const size = 1n << BigInt(address.bits - prefix);
  const first = (address.value / size) * size;
  return { first, last: first + size - 1n, bits: address.bits, prefix };
}

/** Whether the address is in the block; never for different families. */
export function contains(range: IpRange, address: IpAddress): boolean {
  return range.bits === address.bits && address.value >= range.first && address.value <= range.last;
}

/** Whether the blocks share an address; never for different families. */
export function rangesOverlap(a: IpRange, b: IpRange): boolean {
  return a.bits === b.bits && a.first <= b.last && b.first <= a.last;
}

/** The text form of an address, compressed for IPv6. */
export function formatAddress({ value, bits }: IpAddress): string {
  if (bits === 32) return formatIpv4(Number(value));
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(16 * (7 - index))) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
