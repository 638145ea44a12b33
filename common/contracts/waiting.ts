import { z } from 'zod';

/** Resource or person that a module waits for. */
export const waitKindSchema = z.enum([
  'parents',
  'cluster',
  'import',
  'machines',
  'quota',
  'worker',
  'retry',
  'person',
]);

/** Why a module does not continue. */
export const waitSchema = z.object({
  module: z.string(),
  /** Null where the whole module waits. */
  vm: z.string().nullable(),
  kind: waitKindSchema,
  /** The same in words. */
  why: z.string(),
  since: z.int().nullable(),
  /** Its place, from 1, among those that wait for the same on its cluster, and how many they are. */
  position: z.int().nullable(),
  of: z.int().nullable(),
  /** Expected time of continuation, from the durations of earlier modules; null: no earlier modules. */
  expectedAt: z.int().nullable(),
});
export type Wait = z.infer<typeof waitSchema>;

/** `GET /builds/:id/waiting`. */
export const waitingSchema = z.object({ waits: z.array(waitSchema) });
