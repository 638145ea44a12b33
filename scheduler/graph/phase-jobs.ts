import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import type { PlanJob } from '../../common/contracts/plans.ts';

/** `<module>.<vm>.<phase>`: unique in a plan, because names hold no dots. */
export function planJobId(module: string, vm: string, phase: Phase): string {
  return `${module}.${vm}.${phase}`;
}

/** The phases that each VM of a module goes through; an unchanged import starts no machine. */
export function phasesOf({ imported }: Pick<CompiledModule, 'imported'>): readonly Phase[] {
  return imported ? ['import', 'snapshot'] : PHASES;
}

/** The jobs that a module's dependents wait for. */
export function snapshotJobIds(module: CompiledModule): string[] {
  return module.vms.map((vm) => planJobId(module.name, vm.name, 'snapshot'));
}

/** The position of a phase of a VM among the jobs of its module. */
interface Place {
  readonly vm: CompiledModule['vms'][number];
  /** The jobs of the phase before: that of the VM itself, and those of all VMs of the module. */
  readonly before: string;
  readonly allBefore: readonly string[];
  /** The jobs of this phase of other VMs, by name. */
  readonly of: (vm: string) => string;
  readonly parentSnapshots: readonly string[];
}

/** Dependencies of each phase: a module waits for whole modules, a boot for the machines that it needs, a layer is captured as a whole. */
const WAITS: Readonly<Record<Phase, (place: Place) => readonly string[]>> = {
  import: ({ parentSnapshots }) => parentSnapshots,
  'boot-keystrokes': ({ vm, before, of }) => [before, ...new Set(vm.dependsOn.map(of))],
  provision: ({ before }) => [before],
  snapshot: ({ allBefore }) => allBefore,
};

/**
 * The jobs of every VM of a module that is built, phase by phase, every job after those it depends on.
 * `parentSnapshots` are the snapshot jobs of all parents that this plan builds.
 */
export function phaseJobs(module: CompiledModule, parentSnapshots: readonly string[]): PlanJob[] {
  const phases = phasesOf(module);
  const id = (vm: string, phase: Phase | undefined) => (phase ? planJobId(module.name, vm, phase) : '');
  return phases.flatMap((phase, index) => {
    const before = phases[index - 1];
    const allBefore = module.vms.map(({ name }) => id(name, before));
    return (phase === 'boot-keystrokes' ? inBootOrder(module) : module.vms).map((vm): PlanJob => {
      const place = {
        vm,
        allBefore,
        parentSnapshots,
        before: id(vm.name, before),
        of: (name: string) => id(name, phase),
      };
      return { id: id(vm.name, phase), phase, vm: vm.name, dependsOn: [...WAITS[phase](place)] };
    });
  });
}

/** Every VM after those it depends on; the parser excludes cycles. */
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
