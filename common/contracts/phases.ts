import { z } from 'zod';

/** The four phases, in order; one queue and one worker type each. */
export const PHASES = ['import', 'boot-keystrokes', 'provision', 'snapshot'] as const;

export type Phase = (typeof PHASES)[number];

export const phaseSchema = z.enum(PHASES);

/** Properties of a phase that the farm's state needs. */
export interface PhaseNeeds {
  /** Requirement besides other phases: a place among the imports, or the slots of all machines of its module. */
  readonly admission?: 'imports' | 'gang';
  /** Stage of its machine's slot afterwards. */
  readonly stage?: SlotStage;
  /** It is the last phase of its machine. */
  readonly last?: true;
}

/** Stages of a machine that holds a slot. `runs`: a clone is left to people. `leaving`: the farm is done with it, the cluster may still show it. */
export const SLOT_STAGES = ['boot', 'provision', 'snapshot', 'runs', 'leaving'] as const;
export type SlotStage = (typeof SLOT_STAGES)[number];

export const PHASE_NEEDS: Readonly<Record<Phase, PhaseNeeds>> = {
  import: { admission: 'imports' },
  'boot-keystrokes': { admission: 'gang', stage: 'provision' },
  provision: { stage: 'snapshot' },
  snapshot: { stage: 'leaving', last: true },
};

/**
 * Estimated seconds of a phase without history: a clone or download, a boot with cloud-init, a few package installs, a
 * shutdown with its snapshot. Only their proportions matter.
 */
export const PHASE_SECONDS: Readonly<Record<Phase, number>> = {
  import: 30,
  'boot-keystrokes': 60,
  provision: 180,
  snapshot: 30,
};

/** A gang is admitted when there are workers for all that it goes through at once, from its first stage on. */
export const GANG_STAGES: readonly { readonly stage: SlotStage; readonly phase: Phase }[] = [
  { stage: 'boot', phase: 'boot-keystrokes' },
  { stage: 'provision', phase: 'provision' },
];

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
