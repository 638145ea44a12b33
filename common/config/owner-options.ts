import { z } from 'zod';
import { coresSchema } from '../contracts/cluster-control.ts';
import { EVERYBODY } from '../contracts/owners.ts';
import { tokenNameSchema } from '../contracts/tokens.ts';
import { bytesOption } from './units.ts';

/** Weight and quotas of an owner. */
export const ownerOptions = z.strictObject({
  name: z
    .union([tokenNameSchema, z.literal(EVERYBODY)])
    .describe('Name of a token; `*` stands for all that have no row of their own.'),
  weight: z
    .number()
    .positive()
    .default(1)
    .describe('Share of each cluster, against the weights of the other owners that wait for it.'),
  vms: z.int().min(1).optional().describe('Virtual machines that its builds may have on a cluster at once.'),
  cpu: coresSchema.optional().describe('Cores that these machines may have together.'),
  memory: bytesOption.optional().describe('Memory that these machines may have together.'),
  layers: z
    .int()
    .min(1)
    .optional()
    .describe('Layers of its builds that may wait or be built at once; beyond it, its submissions are refused.'),
});
