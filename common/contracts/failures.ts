import { z } from 'zod';
import { FAILURES, type FailureReason } from './failure-table.ts';

// The table is a file of its own, for code that needs no schemas.
export { FAILURES, type FailureReason } from './failure-table.ts';

export const failureReasonSchema = z.enum(Object.keys(FAILURES) as [FailureReason, ...FailureReason[]]);

/** Reason of the failure, with the evidence that explains it. Texts come from guests: untrusted. */
export const failureSchema = z.object({
  reason: failureReasonSchema,
  /** One sentence: what, where. */
  message: z.string(),
  /** The last lines of the log or script concerned. */
  logTail: z.array(z.string()).default([]),
  /** The last lines of the machine's serial output. */
  serialTail: z.array(z.string()).default([]),
  /** Likely causes in this case with their remedies, the likeliest first. */
  hints: z.array(z.string()).default([]),
  /** The last warning Events of the objects concerned. */
  events: z.array(z.string()).default([]),
  /** True when a picture of the screen was kept for the VM. */
  screenshot: z.boolean().default(false),
});

export type Failure = z.infer<typeof failureSchema>;
