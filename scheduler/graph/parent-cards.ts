import type { CompiledModule, Nic, NicModel } from '../../common/contracts/module/compiled.ts';
import type { ParentVm } from './disks.ts';

/**
 * The module with the models that its network cards take from the parents of their VMs: each from the parent's card in
 * the same place, further ones from the parent's first. The guest has drivers for those.
 */
export function withParentCards(module: CompiledModule, parents: ReadonlyMap<string, ParentVm>): CompiledModule {
  const modelsOf = (vm: string) => parents.get(vm)?.nicModels ?? [];
  const vms = module.vms.map((vm) => ({ ...vm, nics: inherit(vm.nics, modelsOf(vm.name)) }));
  const overridden = module.buildOverrides.vms.map((override) => {
    const base = vms.find(({ name }) => name === override.name)?.nics ?? [];
    return { ...override, nics: override.nics && inherit(override.nics, modelsOf(override.name), base) };
  });
  return { ...module, vms, buildOverrides: { ...module.buildOverrides, vms: overridden } };
}

/** A card that has the name of one in `base` is that card, wherever it is. */
function inherit(nics: readonly Nic[], models: readonly NicModel[], base: readonly Nic[] = []): Nic[] {
  return nics.map((nic, index) => {
    const same = base.find(({ name }) => name === nic.name);
    return { ...nic, model: nic.model ?? same?.model ?? models[index] ?? models[0] ?? null };
  });
}
