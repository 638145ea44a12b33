import type { SubnetPlan } from '../../common/contracts/layers.ts';
import { parseCidr, routerAddress } from '../../common/contracts/module/addresses.ts';
import type { CompiledModule, Nic } from '../../common/contracts/module/compiled.ts';
import type { Subnet } from '../../common/contracts/module/module-network.ts';
import { firstHost, formatIpv4, lastHost, parseIpv4 } from '../../common/text/ipv4.ts';
import type { SubnetLayout } from './address-pool.ts';
import type { UnplacedProblem } from './planning-problems.ts';

/** A subnet as it is while building, and which of its addresses are not for VMs. */
export interface PlannedSubnet {
  /** As the module declares it: for clones of the template. */
  readonly base: Subnet;
  readonly plan: SubnetPlan;
  readonly layout: SubnetLayout;
  /** Every address that a NIC was given on it, while building or in the template. */
  readonly given: ReadonlySet<number>;
}

export interface PlannedSubnets {
  readonly subnets: ReadonlyMap<string, PlannedSubnet>;
  readonly problems: readonly UnplacedProblem[];
}

/**
 * Places router, relay and egress gateway in every subnet. The router has the first host of a managed subnet; of one that
 * is unmanaged, while building or in the template, the second-to-last, and the first host is left to the guest that is its
 * gateway. A VPC's one relay has the last free host of its first managed subnet, and its egress gateway the one before.
 * `internet` names the VPCs that have one.
 */
export function planSubnets(
  module: CompiledModule,
  nics: readonly Nic[],
  internet: ReadonlySet<string>,
): PlannedSubnets {
  const problems: UnplacedProblem[] = [];
  const given = givenAddresses(nics);
  const overrides = new Map(module.buildOverrides.subnets.map((subnet) => [subnet.name, subnet.unmanaged]));
  const servedVpcs = new Set<string>();
  const subnets = new Map<string, PlannedSubnet>();
  for (const base of module.network.subnets) {
    const parsed = parseCidr(base.cidr);
    if (!('value' in parsed)) {
      problems.push({ code: 'AddressOutsideSubnet', message: `subnet "${base.name}": ${parsed.complaint}` });
      continue;
    }
    const network = parsed.value;
    const unmanaged = overrides.get(base.name) ?? base.unmanaged;
    const gateway = routerAddress(network, { unmanaged: unmanaged || base.unmanaged });
    const reserved = new Set([gateway, firstHost(network)]);
    const ownGiven = given.get(base.name) ?? new Set();
    const serves = !unmanaged && !servedVpcs.has(base.vpc);
    if (serves) servedVpcs.add(base.vpc);
    const place = (what: string): string | null => {
      const address = takeLast({ network, reserved, given: ownGiven });
      if (address !== null) return formatIpv4(address);
      problems.push({ code: 'SubnetFull', message: `subnet "${base.name}" has no address left for the ${what}` });
      return null;
    };
    const relay = serves ? place('relay') : null;
    const egress = serves && internet.has(base.vpc) ? place('egress gateway') : null;
    subnets.set(base.name, {
      base,
      plan: { ...base, gateway: formatIpv4(gateway), unmanaged, relay, egress },
      layout: { name: base.name, network, gateway, reserved },
      given: ownGiven,
    });
  }
  return { subnets, problems };
}

function givenAddresses(nics: readonly Nic[]): Map<string, Set<number>> {
  const given = new Map<string, Set<number>>();
  for (const { subnet, ip } of nics) {
    const address = parseIpv4(ip);
    if (address === undefined) continue;
    const addresses = given.get(subnet) ?? new Set();
    given.set(subnet, addresses.add(address));
  }
  return given;
}

interface Room {
  readonly network: SubnetLayout['network'];
  readonly reserved: Set<number>;
  readonly given: ReadonlySet<number>;
}

/** Reserves the last free host; null when all are taken. */
function takeLast({ network, reserved, given }: Room): number | null {
  for (let address = lastHost(network); address >= firstHost(network); address--) {
    if (reserved.has(address) || given.has(address)) continue;
    reserved.add(address);
    return address;
  }
  return null;
}
