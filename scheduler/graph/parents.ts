import type { CompiledVm } from '../../common/contracts/module/compiled.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { ParentVm } from './disks.ts';
import { offeredBy } from './layer-plan.ts';
import type { ParentLink, ResolvedModule } from './references.ts';

/** Data of a planned module for its children. */
export interface PlannedParent {
  readonly layer: { readonly spec: unknown; readonly provisional: boolean };
  readonly offered: ReadonlyMap<string, ParentVm>;
}

/** Everything that a module starts from. */
export interface ModuleParents {
  /** By name of the VM that starts from it; complete, with placeholders for unknown parents. */
  readonly vms: ReadonlyMap<string, ParentVm>;
  /** Names of the submission's modules among them; each once, as are the keys. */
  readonly modules: readonly string[];
  readonly layerKeys: readonly string[];
  /** False when an ancestor is unknown: the module's disks are unknown then. */
  readonly known: boolean;
  readonly provisional: boolean;
}

/** Looks up the parents of a module among those planned before it and the layers that exist. */
export function parentsOf(
  { module, links, complete }: ResolvedModule,
  planned: ReadonlyMap<string, PlannedParent>,
): ModuleParents {
  const byVm = new Map(links.map((link) => [link.vm, link]));
  const vms = new Map<string, ParentVm>();
  for (const vm of module.vms) {
    if (vm.source.kind !== 'buildRef') continue;
    const link = byVm.get(vm.name);
    vms.set(vm.name, link ? parentVm(link, planned) : standIn(vm, vm.source));
  }
  const modules = [...new Set(links.flatMap((link) => (link.kind === 'module' ? link.parent.name : [])))];
  const layers = modules.map((name) => planned.get(name)?.layer);
  const known = complete && layers.every((layer) => layer?.spec !== null);
  return {
    vms,
    modules,
    layerKeys: [...new Set([...vms.values()].map(({ layerKey }) => layerKey))],
    known,
    provisional: !known || layers.some((layer) => layer?.provisional),
  };
}

function parentVm(link: ParentLink, planned: ReadonlyMap<string, PlannedParent>): ParentVm {
  const offered = link.kind === 'module' ? planned.get(link.parent.name)?.offered : offeredBy(link.parent);
  const parent = offered?.get(link.parentVm);
  assert(parent, `The VM "${link.parentVm}" of "${link.vm}"'s parent is planned before its children.`);
  return parent;
}

/** Keeps the key of a module below an unknown parent stable, and accepts its disks. */
function standIn(vm: CompiledVm, source: { readonly module: string; readonly vm: string | null }): ParentVm {
  return {
    layerKey: `unknown:${source.module}`,
    vm: source.vm ?? '',
    firmware: vm.firmware.kind,
    disks: [],
    nicModels: [],
  };
}
