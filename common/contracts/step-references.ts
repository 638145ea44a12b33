import type { CompiledModule, CompiledVm } from './module/compiled.ts';

/** Whether `[VM/]STEP` means a step of a VM: by the step's name, or by its number, counted from 1. */
export function isMeantStep(reference: string, vm: Pick<CompiledVm, 'name' | 'steps'>, index: number): boolean {
  const meant = [String(index + 1), vm.steps[index]?.name].filter((word) => word !== null && word !== undefined);
  return meant.some((word) => reference === word || reference === `${vm.name}/${word}`);
}

/** The references that mean no step of any of the modules. */
export function unknownSteps(
  references: readonly string[],
  modules: readonly Pick<CompiledModule, 'vms'>[],
): readonly string[] {
  const vms = modules.flatMap((module) => module.vms);
  const isKnown = (reference: string) =>
    vms.some((vm) => vm.steps.some((_, index) => isMeantStep(reference, vm, index)));
  return references.filter((reference) => !isKnown(reference));
}
