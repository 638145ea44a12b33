import { FarmError } from '../../common/errors/farm-error.ts';
import {
  addressCount,
  firstHost,
  formatIpv4,
  type Ipv4Network,
  isInNetwork,
  lastHost,
  parseIpv4,
  parseIpv4Network,
} from '../../common/text/ipv4.ts';

/** Reads the IPv4 part of a KubeOVN `cidrBlock` (dual stack: two, separated by a comma). @throws ExceedsLimits */
export function networkOfCidrBlock(text: string): Ipv4Network {
  const part = text.split(',').find((candidate) => candidate.includes('.')) ?? '';
  const network = parseIpv4Network(part.trim());
  if (!network || network.prefix < 8 || network.prefix > 30) {
    throw new FarmError('ExceedsLimits', `"${text}" is not an IPv4 network with a prefix length of 8 to 30`);
  }
  return network;
}

export function isWithin(network: Ipv4Network, address: string): boolean {
  const value = parseIpv4(address);
  return value !== undefined && isInNetwork(network, value);
}

export function netmaskOf(network: Ipv4Network): string {
  return formatIpv4(2 ** 32 - addressCount(network));
}

/** KubeOVN's default gateway: the first address. */
export function firstAddress(network: Ipv4Network): string {
  return formatIpv4(firstHost(network));
}

/** Input of an allocation. */
export interface AllocationRequest {
  readonly cidr: Ipv4Network;
  /** Single addresses and ranges `a..b`, the gateway among them. */
  readonly excluded: readonly string[];
  readonly used: ReadonlySet<string>;
}

/** The lowest free address; undefined when there is none. */
export function nextFreeAddress({ cidr, excluded, used }: AllocationRequest): string | undefined {
  const ranges = excluded.map(parseRange);
  for (let value = firstHost(cidr); value <= lastHost(cidr); value++) {
    const address = formatIpv4(value);
    if (!used.has(address) && !ranges.some(([from, to]) => value >= from && value <= to)) return address;
  }
  return undefined;
}

/** How many addresses could be given away in all. */
export function capacityOf(cidr: Ipv4Network, excluded: readonly string[]): number {
  const taken = excluded.map(parseRange).map(([from, to]) => {
    return Math.max(0, Math.min(to, lastHost(cidr)) - Math.max(from, firstHost(cidr)) + 1);
  });
  return Math.max(0, addressCount(cidr) - 2 - taken.reduce((sum, count) => sum + count, 0));
}

function parseRange(text: string): readonly [number, number] {
  const [from = '', to = from] = text.split('..');
  return [parseIpv4(from) ?? -1, parseIpv4(to) ?? -1];
}
