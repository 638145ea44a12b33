import { z } from 'zod';

/** A requirement that a cluster does not meet. `error`: builds will fail; `warning`: some may fail, or the check was not possible. */
export const findingSchema = z.object({
  what: z.string(),
  severity: z.enum(['error', 'warning']),
  howToFix: z.string(),
});

export type Finding = z.infer<typeof findingSchema>;
