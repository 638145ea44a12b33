import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { buildRef, compiledModule, shell } from '../harness/module-factory.ts';

/** How large a graph is. */
export interface GraphShape {
  readonly layers: number;
  readonly modulesPerLayer: number;
}

/** Gives numbers in [0, 1) that are the same at every run (Lehmer's generator, modulus 2^31 - 1). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/**
 * Modules in layers. Each has two VMs that start from two modules of the layer below, so there are diamonds everywhere,
 * and a step of its own, because equal modules are one layer.
 */
export function layeredModules({ layers, modulesPerLayer }: GraphShape, random: () => number): CompiledModule[] {
  return Array.from({ length: layers * modulesPerLayer }, (_, index) => {
    const layer = Math.floor(index / modulesPerLayer);
    const below = () => `m${(layer - 1) * modulesPerLayer + Math.floor(random() * modulesPerLayer)}`;
    const vms = ['vm0', 'vm1'].map((name) => ({
      name,
      resources: { cpu: 1, memoryBytes: 1024 ** 3 },
      steps: [shell(`echo ${index}`)],
      ...(layer === 0 ? {} : { source: buildRef(below(), name) }),
    }));
    return compiledModule({ name: `m${index}`, vms });
  });
}
