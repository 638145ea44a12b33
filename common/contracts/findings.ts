import { z } from 'zod';

/** What a cluster lacks for the farm. `error`: builds will fail; `warning`: some may, or it could not be found out. */
export const findingSchema = z.object({
  what: z.string(),
  severity: z.enum(['error', 'warning']),
  howToFix: z.string(),
});

export type Finding = z.infer<typeof findingSchema>;
