import type { LayerSpec, SubnetPlan, VmPlan } from '../../common/contracts/layers.ts';
import type { CompiledVm } from '../../common/contracts/module/compiled.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import type { BuildIdentity } from '../../common/contracts/object-names.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { type BuildNames, buildNames } from './build-names.ts';

/** Role of an object in the farm; teardown removes only `build`. */
export type ObjectRole = 'build' | 'template' | 'layer' | 'source';

/** The VM that a phase works on, within its layer build. */
export interface BuildScope {
  readonly farm: string;
  /** The farm namespace. */
  readonly namespace: string;
  readonly identity: BuildIdentity;
  readonly names: BuildNames;
  readonly spec: LayerSpec;
  readonly vm: CompiledVm;
  readonly plan: VmPlan;
}

/** The module's part of a scope: its network is the same for all its VMs. */
export type ModuleScope = Omit<BuildScope, 'vm' | 'plan'>;

/** Finds the claimed VM in its layer's specification. */
export function buildScope({ claim, cluster, farm }: Pick<PhaseContext, 'claim' | 'cluster' | 'farm'>): BuildScope {
  const { job, spec } = claim;
  const vm = spec.module.vms.find(({ name }) => name === job.vm);
  const plan = spec.vms.find(({ name }) => name === job.vm);
  assert(vm && plan, `The layer specification has the VM "${job.vm}" of its own phase job.`);
  const identity = { layerBuild: job.layerBuild, generation: job.generation };
  return { farm, namespace: cluster.namespace, identity, names: buildNames(identity), spec, vm, plan };
}

/** Labels of an object of the module (its network, its key). */
export function moduleLabels({ farm, identity, spec }: ModuleScope, role: ObjectRole) {
  return {
    [LABELS.farm]: farm,
    [LABELS.layerBuild]: identity.layerBuild,
    [LABELS.generation]: String(identity.generation),
    [LABELS.module]: spec.module.name,
    [LABELS.role]: role,
  };
}

/** Labels of an object of the VM. */
export function vmLabels(scope: BuildScope, role: ObjectRole): Record<string, string> {
  return { ...moduleLabels(scope, role), [LABELS.vm]: scope.vm.name };
}

/** A key as a label value: letters and digits only, at most 63 of them. */
export function keyLabel(key: string): string {
  return key.replaceAll(/[^A-Za-z0-9]/g, '').slice(0, 63);
}

/** Suffix of the names of a module's machines: `internal` is never delegated on the Internet. */
export function domainOf({ module }: LayerSpec): string {
  return `${module.name.toLowerCase()}.internal`;
}

/** The egress gateway of a VPC: its subnet and address; undefined when the VPC has no internet or no managed subnet. */
export function egressOf(spec: LayerSpec, vpc: string): { subnet: SubnetPlan; address: string } | undefined {
  const subnet = spec.network.subnets.find((candidate) => candidate.vpc === vpc && candidate.egress);
  return subnet?.egress ? { subnet, address: subnet.egress } : undefined;
}

/** Whether a module without network settings is built without the internet that it has on other clusters. */
export function builtWithoutInternet({ module, network }: LayerSpec): boolean {
  const open = new Set(network.vpcs.filter(({ internet }) => internet).map(({ name }) => name));
  const decided = new Set(module.buildOverrides.vpcs.map(({ name }) => name));
  return module.network.vpcs.some(({ name, automatic }) => automatic && !open.has(name) && !decided.has(name));
}
