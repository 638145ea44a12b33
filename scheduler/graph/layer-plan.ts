import type { LayerSpec, VmPlan } from '../../common/contracts/layers.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { objectKeyName, objectKeysOf } from '../../common/contracts/object-content.ts';
import { own } from '../../common/contracts/own.ts';
import { type ParentVm, planDisks } from './disks.ts';
import { type Facts, type OfferedLayer, sourceIdentity, sourceKey } from './facts.ts';
import { planNetwork } from './network-plan.ts';
import { withParentCards } from './parent-cards.ts';
import type { UnplacedProblem } from './planning-problems.ts';

export interface LayerInput {
  readonly module: CompiledModule;
  readonly layerKey: string;
  readonly facts: Facts;
  /** Parent of each VM with a `buildRef`, by the name of the VM. */
  readonly parents: ReadonlyMap<string, ParentVm>;
}

export interface PlannedLayer {
  readonly spec: LayerSpec;
  /** Disks that other modules can start from, by name of the VM. */
  readonly offered: ReadonlyMap<string, ParentVm>;
  readonly problems: readonly UnplacedProblem[];
}

/** Decides everything that a layer build needs beyond the compiled module, whose secrets it hands on as they are. */
export function planLayer({ module, layerKey, facts, parents }: LayerInput): PlannedLayer {
  const network = planNetwork(withParentCards(module, parents), layerKey);
  const resources = new Map(module.buildOverrides.vms.map((vm) => [vm.name, vm.resources]));
  const problems = [...network.problems];
  const offered = new Map<string, ParentVm>();
  const vms = module.vms.map((vm): VmPlan => {
    const planned = planDisks({ vm, facts, parent: parents.get(vm.name) });
    problems.push(...planned.problems);
    const isos = vm.isos.map(({ url, checksum }) => {
      return { url, checksum, identity: sourceKey(sourceIdentity(url, checksum, facts)) };
    });
    const { nics, templateNics } = network.vms.get(vm.name) ?? { nics: [], templateNics: [] };
    const nicModels = templateNics.map(({ model }) => model);
    offered.set(vm.name, { layerKey, vm: vm.name, firmware: vm.firmware.kind, disks: planned.offered, nicModels });
    const { cpu, memoryBytes } = resources.get(vm.name) ?? vm.resources;
    // Unchanged imports keep their size.
    const disks = module.imported ? planned.disks.map((disk) => ({ ...disk, sizeBytes: null })) : planned.disks;
    return { name: vm.name, disks, isos, nics, templateNics, cpu, memoryBytes };
  });
  const contents = { fileHashes: hashesOf(module, facts), objects: objectsOf(module, facts) };
  const { places: _places, ...placeless } = module;
  return {
    spec: { schema: 1, layerKey, module: placeless, vms, network: network.network, ...contents },
    offered,
    problems,
  };
}

/** By name of the file. */
function hashesOf(module: CompiledModule, facts: Facts): Record<string, string> {
  const hashes: Record<string, string> = {};
  for (const file of module.files) {
    if (file.kind !== 'url') continue;
    const hash = own(facts.files, file.url) ?? (file.checksum?.algorithm === 'sha256' ? file.checksum.hex : null);
    if (hash !== null) hashes[file.name] = hash;
  }
  return hashes;
}

/** By `objectKeyName`. */
function objectsOf(module: CompiledModule, facts: Facts): Record<string, string> {
  const names = module.vms.flatMap(objectKeysOf).map(objectKeyName);
  return Object.fromEntries(
    names.flatMap((name) => {
      const identity = own(facts.objects, name) ?? null;
      return identity === null ? [] : [[name, identity]];
    }),
  );
}

/** Disks of an existing layer for the VMs that start from it. */
export function offeredBy(record: OfferedLayer): ReadonlyMap<string, ParentVm> {
  const { layerKey } = record;
  return new Map(
    record.vms.map(({ vm, firmware, disks, nicModels = [] }) => [vm, { layerKey, vm, firmware, disks, nicModels }]),
  );
}
