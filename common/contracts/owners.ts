import { z } from 'zod';

/** How urgent a build is, in the order in which they rise. `high` is for admins. */
export const PRIORITIES = ['low', 'normal', 'high'] as const;
export const prioritySchema = z.enum(PRIORITIES);
export type Priority = z.infer<typeof prioritySchema>;

/** Share and quotas of an owner (the name of a token). */
export interface OwnerTerms {
  /** The owner's share of a cluster, against the weights of the others that wait. */
  readonly weight: number;
  /** Limits on the owner's machines on a cluster; absent: the limits of the farm. */
  readonly vms?: number | undefined;
  readonly cpu?: number | undefined;
  readonly memoryBytes?: number | undefined;
  /** Layers that may wait or be built at once; absent: as many as the farm takes. */
  readonly layers?: number | undefined;
}

/** Terms by owner. */
export type Owners = ReadonlyMap<string, OwnerTerms>;

/** The row that stands for all owners without one of their own. */
export const EVERYBODY = '*';

/** No quotas, and equal weights. */
export const EQUAL_OWNERS: Owners = new Map();

const DEFAULT_TERMS: OwnerTerms = { weight: 1 };

export function termsOf(owners: Owners, name: string): OwnerTerms {
  return owners.get(name) ?? owners.get(EVERYBODY) ?? DEFAULT_TERMS;
}
