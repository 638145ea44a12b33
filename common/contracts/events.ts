import { z } from 'zod';
import { failureReasonSchema, failureSchema } from './failures.ts';
import { phaseSchema } from './phases.ts';

export const OUTCOMES = ['succeeded', 'failed', 'cancelled'] as const;
export const outcomeSchema = z.enum(OUTCOMES);

/** `build`: made by this build; `reuse`: was there; `join`: made by the layer build of another build. */
export const actionSchema = z.enum(['build', 'reuse', 'join']);
export type Action = z.infer<typeof actionSchema>;

/** A captured disk, as people and scripts find it. */
export const imageSchema = z.object({ vm: z.string(), disk: z.string(), snapshot: z.string(), cluster: z.string() });

export const moduleResultSchema = z.object({
  name: z.string(),
  action: actionSchema,
  outcome: outcomeSchema,
  durationMs: z.int(),
  images: z.array(imageSchema),
  failure: failureSchema.optional(),
});
export type ModuleResult = z.infer<typeof moduleResultSchema>;

const where = { module: z.string(), vm: z.string() };
const stepFields = { ...where, step: z.int(), name: z.string().nullable(), type: z.string() };

/** Answers to a failed step whose machine is kept: run it again, continue without it, or give it up. */
export const keptAnswerSchema = z.enum(['retry', 'skip', 'release']);
export type KeptAnswer = z.infer<typeof keptAnswerSchema>;

/** How long a machine is kept for a person unless the build sets another duration. */
export const KEEP_MS = 2 * 3_600_000;

export const keptSchema = z.object({
  /** Why the machine is kept: its step failed, or the build was asked to pause before it. */
  why: z.enum(['failed', 'before']).default('failed'),
  /** How often the step was tried again before. */
  attempt: z.int(),
  /** Milliseconds since the Unix epoch: then it is given up. */
  until: z.int(),
});

export type Kept = z.infer<typeof keptSchema>;

/** How often the step was run before, because a person asked for it; absent: never. */
const attemptFields = { attempt: z.int().optional() };

/** Why a phase is begun again. */
export const againSchema = z.object({
  /** Failure of the former attempt, or of the former generation of the module. */
  reason: z.union([failureReasonSchema, z.enum(['WorkerStopped', 'ClusterAway', 'NoRoom'])]),
  /** Number of this attempt and the limit for such a reason; absent: it is not counted. */
  number: z.int().optional(),
  of: z.int().optional(),
});

/** Events of a build, one variant each; the order of a stream is the order of its ids. */
export const farmEventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('build-accepted'), buildId: z.string(), modules: z.array(z.string()) }),
  z.object({ event: z.literal('module-started'), module: z.string(), action: actionSchema }),
  z.object({ event: z.literal('module-reused'), module: z.string(), images: z.array(imageSchema) }),
  /** A worker has begun or taken over a phase. */
  z.object({
    event: z.literal('phase-started'),
    ...where,
    phase: phaseSchema,
    /** Counts from 1, over all generations. */
    attempt: z.int(),
    worker: z.string(),
    /** Absent: it is the first attempt. */
    again: againSchema.optional(),
  }),
  z.object({
    event: z.literal('phase-finished'),
    ...where,
    phase: phaseSchema,
    outcome: z.enum(['succeeded', 'failed', 'cancelled', 'requeue']),
    durationMs: z.int(),
    failure: failureSchema.optional(),
  }),
  /** A phase retries an operation: emitted when the error changes, at intervals, and at the end. */
  z.object({
    event: z.literal('phase-waiting'),
    ...where,
    phase: phaseSchema,
    /** The retried operation: `SSH 10.0.2.2:22`. */
    what: z.string(),
    /** Error of the last attempt; null: it succeeded. */
    error: z.string().nullable(),
    tries: z.int(),
    /** Since the first try, and until it is given up. */
    elapsedMs: z.int(),
    leftMs: z.int(),
  }),
  z.object({ event: z.literal('step-started'), ...stepFields, ...attemptFields }),
  /** The step waits until a person continues it. */
  z.object({
    event: z.literal('handbuild-waiting'),
    ...stepFields,
    instructions: z.string(),
    /** The step has failed, and its machine is kept. */
    kept: keptSchema.optional(),
  }),
  z.object({
    event: z.literal('step-finished'),
    ...stepFields,
    ...attemptFields,
    outcome: z.enum(['succeeded', 'failed']),
    exitCode: z.int().nullable(),
    durationMs: z.int(),
  }),
  z.object({
    event: z.literal('log'),
    ...where,
    phase: phaseSchema,
    /** Source of the line: `step`, `import`, `console`, `farm`. */
    source: z.string(),
    /** One line without its newline; untrusted, secrets masked. */
    line: z.string(),
  }),
  z.object({
    event: z.literal('module-finished'),
    ...moduleResultSchema.omit({ name: true }).shape,
    module: z.string(),
  }),
  z.object({
    event: z.literal('build-finished'),
    buildId: z.string(),
    outcome: outcomeSchema,
    durationMs: z.int(),
    modules: z.array(moduleResultSchema),
  }),
]);

export type FarmEvent = z.infer<typeof farmEventSchema>;

/** An event as it is sent: with its time (ISO 8601). */
export type SentEvent = FarmEvent & { readonly time: string };

/** An event as it is in a stream: with the id to resume after. */
export type StoredEvent = SentEvent & { readonly id: string };
