import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { didYouMean } from '../../common/contracts/module/suggest.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/**
 * The modules of these names and their ancestors, in the order given; all of them when no name is given.
 * @throws FarmError InvalidRequest when a name is not among the modules
 */
export function selectModules(modules: readonly CompiledModule[], only: readonly string[]): readonly CompiledModule[] {
  if (only.length === 0) return modules;
  const byName = new Map(modules.map((module) => [module.name, module]));
  const selected = new Set<CompiledModule>();
  const todo = only.map((name) => {
    const module = byName.get(name);
    if (module) return module;
    throw new FarmError('InvalidRequest', `Module "${name}" to build not found${didYouMean(name, [...byName.keys()])}`);
  });
  for (let module = todo.pop(); module; module = todo.pop()) {
    if (selected.has(module)) continue;
    selected.add(module);
    for (const { source } of module.vms) {
      const parent = source.kind === 'buildRef' && source.image === null ? byName.get(source.module) : undefined;
      if (parent) todo.push(parent);
    }
  }
  // A second module of a name stays, so that planning reports the duplicate name.
  return modules.filter((module) => selected.has(byName.get(module.name) ?? module));
}
