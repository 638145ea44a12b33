import { z } from 'zod';

/** The four kinds of work, in order; one queue and one worker type each. */
export const PHASES = ['import', 'boot-keystrokes', 'provision', 'snapshot'] as const;

export type Phase = (typeof PHASES)[number];

export const phaseSchema = z.enum(PHASES);

/** Name of the BullMQ queue of a phase on a cluster. BullMQ forbids `:` in it. */
export function queueName(phase: Phase, cluster: string): string {
  return `${phase}--${cluster}`;
}

/** The prefix of every key in Redis: one hash tag, so that a Redis Cluster keeps the farm on one shard. */
export const REDIS_PREFIX = '{farm}';

/**
 * One phase of one VM of a layer build, dispatched for the n-th time. This is all that a queue ever holds: never a
 * specification, never a secret.
 */
export const jobReferenceSchema = z.object({
  /** ULID of the layer build. */
  layerBuild: z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/),
  /** Raised when the disks of the former generation can no longer be trusted. */
  generation: z.int().min(1),
  vm: z.string().min(1),
  phase: phaseSchema,
  /** Raised at every dispatch, because BullMQ ignores an id that it has seen. */
  dispatch: z.int().min(1),
});

export type JobReference = z.infer<typeof jobReferenceSchema>;

/** `<layerBuild>.<g>.<vm>.<phase>.<dispatch>`: the BullMQ job id. */
export function jobId(job: JobReference): string {
  return [job.layerBuild, job.generation, job.vm, job.phase, job.dispatch].join('.');
}
