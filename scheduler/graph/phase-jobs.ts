import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import type { PlanJob } from '../../common/contracts/plans.ts';

/** `<module>.<vm>.<phase>`: unique in a plan, because names hold no dots. */
export function planJobId(module: string, vm: string, phase: Phase): string {
  return `${module}.${vm}.${phase}`;
}

/** The phases that each VM of a module goes through; what is imported as it is starts no machine. */
export function phasesOf({ imported }: Pick<CompiledModule, 'imported'>): readonly Phase[] {
  return imported ? ['import', 'snapshot'] : PHASES;
}

/** The jobs that a module's dependents wait for. */
export function snapshotJobIds(module: CompiledModule): string[] {
  return module.vms.map((vm) => planJobId(module.name, vm.name, 'snapshot'));
}

/**
 * The jobs of every VM of a module that is built, phase by phase, every job after those it depends on.
 * `parentSnapshots` are the snapshot jobs of all parents that this plan builds: a module waits for whole modules.
 */
export function phaseJobs(module: CompiledModule, parentSnapshots: readonly string[]): PlanJob[] {
  const id = (vm: string, phase: Phase) => planJobId(module.name, vm, phase);
  const finished = module.vms.map((vm) => id(vm.name, module.imported ? 'import' : 'provision'));
  const job = (vm: string, phase: Phase, dependsOn: readonly string[]): PlanJob => ({
    id: id(vm, phase),
    phase,
    vm,
    dependsOn: [...dependsOn],
  });
  const imports = module.vms.map((vm) => job(vm.name, 'import', parentSnapshots));
  const snapshots = module.vms.map((vm) => job(vm.name, 'snapshot', finished));
  if (module.imported) return [...imports, ...snapshots];
  return [
    ...imports,
    ...inBootOrder(module).map((vm) => {
      const first = [...new Set(vm.dependsOn)].map((other) => id(other, 'boot-keystrokes'));
      return job(vm.name, 'boot-keystrokes', [id(vm.name, 'import'), ...first]);
    }),
    ...module.vms.map((vm) => job(vm.name, 'provision', [id(vm.name, 'boot-keystrokes')])),
    ...snapshots,
  ];
}

/** Every VM after those it depends on; that there is no cycle is the parser's to see to. */
function inBootOrder(module: CompiledModule): CompiledModule['vms'][number][] {
  const byName = new Map(module.vms.map((vm) => [vm.name, vm]));
  const ordered = new Set<CompiledModule['vms'][number]>();
  const visit = (vm: CompiledModule['vms'][number]): void => {
    if (!byName.delete(vm.name)) return;
    for (const name of vm.dependsOn) {
      const other = byName.get(name);
      if (other) visit(other);
    }
    ordered.add(vm);
  };
  for (const vm of module.vms) visit(vm);
  return [...ordered];
}
