import { BUILDS } from './operations/builds.ts';
import { CLUSTERS } from './operations/clusters.ts';
import { IMAGES } from './operations/images.ts';
import { INPUTS } from './operations/inputs.ts';
import { MACHINES } from './operations/machines.ts';
import type { Operation } from './operations/operation.ts';
import { SERVICE } from './operations/service.ts';
import { TOKENS } from './operations/tokens.ts';

/** Every operation of the farm, in the order of its description. What is not in this table is not served. */
export const OPERATIONS: readonly Operation[] = [
  ...BUILDS,
  ...MACHINES,
  ...IMAGES,
  ...CLUSTERS,
  ...INPUTS,
  ...TOKENS,
  ...SERVICE,
];
