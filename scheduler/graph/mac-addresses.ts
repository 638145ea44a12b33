import { hash } from 'node:crypto';
import type { Nic } from '../../common/contracts/module/compiled.ts';
import type { UnplacedProblem } from './planning-problems.ts';

/** Identity of a NIC in its module. */
export interface NicOwner {
  readonly vm: string;
  /** Which of the VM's NICs of this name it is, from 0. */
  readonly occurrence: number;
}

/**
 * Gives NICs their MAC addresses: the given one, else one made from layerKey, VM and NIC name, so that every plan of the
 * layer, and the same NIC under a build override, has the same. Made ones start with `02`: locally administered, unicast.
 */
export class MacAddresses {
  readonly problems: UnplacedProblem[] = [];
  readonly #layerKey: string;
  readonly #given: ReadonlySet<string>;
  readonly #owners = new Map<string, string>();

  /** `given` are all addresses that some NIC of the module was given: none of them is ever made. */
  constructor(layerKey: string, given: ReadonlySet<string>) {
    this.#layerKey = layerKey;
    this.#given = given;
  }

  addressOf(nic: Nic, { vm, occurrence }: NicOwner): string {
    const owner = `NIC "${nic.name}" of VM "${vm}"`;
    if (nic.mac === null) return this.#make(`${vm}/${nic.name}/${occurrence}`);
    const other = this.#owners.get(nic.mac);
    if (other !== undefined) {
      this.problems.push({ code: 'DuplicateAddress', message: `${owner}: ${nic.mac} is already the MAC of ${other}` });
    }
    this.#owners.set(nic.mac, other ?? owner);
    return nic.mac;
  }

  #make(identity: string): string {
    for (let salt = 0; ; salt++) {
      const digest = hash('sha256', `${this.#layerKey}/${identity}/${salt}`);
      const mac = `02:${digest.slice(0, 10).replace(/..(?=.)/g, '$&:')}`;
      const taken = this.#given.has(mac) || this.#owners.has(mac);
      if (taken) continue;
      this.#owners.set(mac, identity);
      return mac;
    }
  }
}
