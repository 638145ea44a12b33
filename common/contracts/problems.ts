import { z } from 'zod';

/** Something wrong with a file that a person wrote, and where. Lines and columns are 1-based. */
export const problemSchema = z.object({
  file: z.string(),
  line: z.int(),
  column: z.int(),
  severity: z.enum(['error', 'warning']),
  code: z.string(),
  message: z.string(),
});

export type Problem = z.infer<typeof problemSchema>;

/** Body of every refused request: problem details of RFC 9457 with the farm's error code. */
export const problemDetailsSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  /** How to solve it, from the error table. */
  solve: z.string(),
  problems: z.array(problemSchema).optional(),
  /** SHA-256 of each content that has to be sent first. */
  missing: z.array(z.string()).optional(),
});

export type ProblemDetails = z.infer<typeof problemDetailsSchema>;
