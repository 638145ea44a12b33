import type { JobReference } from '../../common/contracts/phases.ts';

/** Name of a VM's step states in its guest: they belong to one generation and never to a parent's layer. */
export function stateName({ layerBuild, generation, vm }: JobReference): string {
  return `${layerBuild}.g${generation}.${vm}`;
}
