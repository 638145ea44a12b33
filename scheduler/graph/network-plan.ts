import type { LayerSpec, NicPlan } from '../../common/contracts/layers.ts';
import type { CompiledModule, CompiledVm, Nic } from '../../common/contracts/module/compiled.ts';
import { partPath } from '../../common/contracts/module/places.ts';
import { AddressPool } from './address-pool.ts';
import { MacAddresses } from './mac-addresses.ts';
import type { UnplacedProblem } from './planning-problems.ts';
import { type PlannedSubnet, planSubnets } from './subnet-layout.ts';

/** Card model for a VM whose parent has no recorded one: the default of former versions. */
const FORMER_NIC_MODEL = 'e1000';

export interface VmNics {
  /** While building. */
  readonly nics: readonly NicPlan[];
  /** Cards of the template. */
  readonly templateNics: readonly NicPlan[];
}

export interface NetworkPlan {
  readonly network: LayerSpec['network'];
  /** By name of the VM. */
  readonly vms: ReadonlyMap<string, VmNics>;
  readonly problems: readonly UnplacedProblem[];
}

/** Networks, and the addresses of every NIC, of one module: the same for the same module and layerKey. */
export function planNetwork(module: CompiledModule, layerKey: string): NetworkPlan {
  const overridden = new Map(module.buildOverrides.vms.map((vm) => [vm.name, vm.nics]));
  const buildNics = (vm: CompiledVm) => overridden.get(vm.name) ?? vm.nics;
  const all = module.vms.flatMap((vm) => [...vm.nics, ...buildNics(vm)]);
  const internet = internetVpcs(module);
  const { subnets, problems } = planSubnets(module, all, internet);
  const givenMacs = new Set(all.flatMap((nic) => nic.mac ?? []));
  const parts = { module, subnets, macs: () => new MacAddresses(layerKey, givenMacs) };
  const building = { nicsOf: buildNics, isUnmanaged: ({ plan }: PlannedSubnet) => plan.unmanaged };
  const build = planView({ ...parts, ...building, preferred: new Map() });
  const finished = { nicsOf: (vm: CompiledVm) => vm.nics, isUnmanaged: ({ base }: PlannedSubnet) => base.unmanaged };
  const template = isRewired(module) ? planView({ ...parts, ...finished, preferred: build.addresses }) : build;
  return {
    network: {
      vpcs: module.network.vpcs.map(({ name }) => ({ name, internet: internet.has(name) })),
      subnets: [...subnets.values()].map(({ plan }) => plan),
    },
    vms: new Map(
      module.vms.map(({ name }) => [
        name,
        { nics: build.nics.get(name) ?? [], templateNics: template.nics.get(name) ?? [] },
      ]),
    ),
    problems: unique([
      ...problems,
      ...build.problems,
      ...template.problems,
      ...unreachable(module, build.nics, subnets),
    ]),
  };
}

/** Whether its VMs are connected in another way while building than in the template. */
function isRewired({ buildOverrides: { subnets, vms } }: CompiledModule): boolean {
  return subnets.length > 0 || vms.some((vm) => vm.nics);
}

/** The VPCs that have internet while building. */
function internetVpcs({ network, buildOverrides }: CompiledModule): ReadonlySet<string> {
  const overridden = new Map(buildOverrides.vpcs.map(({ name, internet }) => [name, internet]));
  const open = network.vpcs.filter(({ name, internet }) => overridden.get(name) ?? internet !== 'never');
  return new Set(open.map(({ name }) => name));
}

/** One of the two ways in which the module's VMs are connected. */
interface View {
  readonly module: CompiledModule;
  readonly subnets: ReadonlyMap<string, PlannedSubnet>;
  readonly macs: () => MacAddresses;
  readonly nicsOf: (vm: CompiledVm) => readonly Nic[];
  readonly isUnmanaged: (subnet: PlannedSubnet) => boolean;
  /** Addresses that NICs have in the other view, to be kept where possible; by owner. */
  readonly preferred: ReadonlyMap<string, string>;
}

interface PlannedView {
  readonly nics: ReadonlyMap<string, readonly NicPlan[]>;
  readonly addresses: ReadonlyMap<string, string>;
  readonly problems: readonly UnplacedProblem[];
}

function planView({ module, subnets, macs, nicsOf, isUnmanaged, preferred }: View): PlannedView {
  const macAddresses = macs();
  const pools = new Map([...subnets].map(([name, { layout, given }]) => [name, new AddressPool(layout, given)]));
  const addresses = new Map<string, string>();
  const problems: UnplacedProblem[] = [];

  const addressOf = (nic: Nic, owner: string): string | null => {
    const [pool, subnet] = [pools.get(nic.subnet), subnets.get(nic.subnet)];
    if (!pool || !subnet) {
      problems.push({
        code: 'AddressOutsideSubnet',
        message: `${owner}: subnet "${nic.subnet}" is missing or not usable`,
      });
      return null;
    }
    if (nic.ip !== null) return pool.take(nic.ip, owner);
    return isUnmanaged(subnet) ? null : (pool.tryTake(preferred.get(owner) ?? '', owner) ?? pool.next(owner));
  };

  const planVm = (vm: CompiledVm): NicPlan[] => {
    const seen = new Map<string, number>();
    return nicsOf(vm).map((nic) => {
      const occurrence = seen.get(nic.name) ?? 0;
      seen.set(nic.name, occurrence + 1);
      const owner = `NIC "${nic.name}" of VM "${vm.name}" on subnet "${nic.subnet}"`;
      const ip = addressOf(nic, owner);
      if (ip !== null) addresses.set(owner, ip);
      const { name, subnet, slot } = nic;
      const model = nic.model ?? FORMER_NIC_MODEL;
      return { name, subnet, model, slot, mac: macAddresses.addressOf(nic, { vm: vm.name, occurrence }), ip };
    });
  };

  const nics = new Map(module.vms.map((vm) => [vm.name, planVm(vm)]));
  const clashes = [...pools.values()].flatMap((pool) => pool.problems);
  return { nics, addresses, problems: [...problems, ...clashes, ...macAddresses.problems] };
}

/** Workers reach a VM through the relay only, which is attached to managed subnets. */
function unreachable(module: CompiledModule, nics: PlannedView['nics'], subnets: View['subnets']): UnplacedProblem[] {
  const isReached = (nic: NicPlan) => subnets.get(nic.subnet)?.plan.unmanaged === false;
  return module.vms
    .filter((vm) => vm.steps.length > 0 && !nics.get(vm.name)?.some(isReached))
    .map((vm) => ({
      code: 'NoManagedNic',
      message: `VM "${vm.name}" has steps, but no NIC on a managed subnet by which to reach it while building`,
      part: partPath('vms', vm.name),
    }));
}

function unique(problems: readonly UnplacedProblem[]): UnplacedProblem[] {
  return [...new Map(problems.map((problem) => [`${problem.code} ${problem.message}`, problem])).values()];
}
