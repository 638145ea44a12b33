import { firstHost, formatIpv4, type Ipv4Network, lastHost, parseIpv4 } from '../../common/text/ipv4.ts';
import type { UnplacedProblem } from './planning-problems.ts';

/** Addresses of one subnet that are fixed before any is handed out. */
export interface SubnetLayout {
  readonly name: string;
  readonly network: Ipv4Network;
  /** The router port of the platform. */
  readonly gateway: number;
  /** Never handed out: the gateway, the address kept for a guest's gateway, the relay. */
  readonly reserved: ReadonlySet<number>;
}

/** Hands out addresses of a subnet, from the lowest, each once. Addresses that the module gives are reserved first. */
export class AddressPool {
  readonly problems: UnplacedProblem[] = [];
  readonly #layout: SubnetLayout;
  readonly #given: ReadonlySet<number>;
  readonly #taken = new Map<number, string>();
  #next: number;

  constructor(layout: SubnetLayout, given: ReadonlySet<number>) {
    this.#layout = layout;
    this.#given = given;
    this.#next = firstHost(layout.network);
  }

  /** Takes the address that a NIC was given; a clash is a problem, and the NIC keeps it. */
  take(ip: string, owner: string): string {
    const { name, network, gateway } = this.#layout;
    const address = parseIpv4(ip) ?? -1;
    const other = this.#taken.get(address);
    if (address < firstHost(network) || address > lastHost(network)) {
      this.problems.push({
        code: 'AddressOutsideSubnet',
        message: `${owner}: ${ip} is not a host of subnet "${name}"`,
      });
    } else if (address === gateway) {
      this.problems.push({ code: 'AddressTaken', message: `${owner}: ${ip} is the router of subnet "${name}"` });
    } else if (other !== undefined) {
      this.problems.push({ code: 'DuplicateAddress', message: `${owner}: ${ip} is already the address of ${other}` });
    }
    this.#taken.set(address, other ?? owner);
    return ip;
  }

  /** Takes this address, if it may still be handed out. */
  tryTake(ip: string, owner: string): string | undefined {
    const address = parseIpv4(ip);
    if (address === undefined || !this.#isFree(address)) return undefined;
    this.#taken.set(address, owner);
    return ip;
  }

  /** The lowest free address; none left is a problem. */
  next(owner: string): string | null {
    const last = lastHost(this.#layout.network);
    while (this.#next <= last && !this.#isFree(this.#next)) this.#next += 1;
    if (this.#next > last) {
      this.problems.push({
        code: 'SubnetFull',
        message: `${owner}: subnet "${this.#layout.name}" has no address left`,
      });
      return null;
    }
    this.#taken.set(this.#next, owner);
    return formatIpv4(this.#next);
  }

  #isFree(address: number): boolean {
    return !this.#taken.has(address) && !this.#given.has(address) && !this.#layout.reserved.has(address);
  }
}
