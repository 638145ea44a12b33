import { BUILDS } from './builds.ts';
import { CLUSTERS } from './clusters.ts';
import { IMAGES } from './images.ts';
import { INPUTS } from './inputs.ts';
import { MACHINES } from './machines.ts';
import type { Operation } from './operation.ts';
import { SERVICE } from './service.ts';
import { TOKENS } from './tokens.ts';

/** Every operation of the farm, in the order of its description. Requests that are not in this table are not served. */
export const OPERATIONS = {
  ...BUILDS,
  ...MACHINES,
  ...IMAGES,
  ...CLUSTERS,
  ...INPUTS,
  ...TOKENS,
  ...SERVICE,
};

export type OperationId = keyof typeof OPERATIONS;

/** An operation with its id. */
export interface NamedOperation extends Operation {
  readonly id: OperationId;
}

/** The same as a list. */
export const OPERATION_LIST: readonly NamedOperation[] = Object.entries(OPERATIONS).map(([id, operation]) => ({
  id: id as OperationId,
  ...operation,
}));
