import { z } from 'zod';
import { clusterModeSchema, labelsSchema } from './cluster-control.ts';
import { actionSchema, imageSchema, keptSchema } from './events.ts';
import { failureSchema } from './failures.ts';
import { findingSchema } from './findings.ts';
import { PHASES, phaseSchema } from './phases.ts';
import { storageRoomSchema } from './storage.ts';

export const buildStateSchema = z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']);
export type BuildState = z.infer<typeof buildStateSchema>;

/** `skipped`: it was never started, and will not be. */
const phaseStateSchema = z.enum([
  'waiting',
  'ready',
  'queued',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'skipped',
]);

/** Times are milliseconds since the Unix epoch. */
const time = z.int().nullable();

/** An operation that a running phase retries. */
export const waitingViewSchema = z.object({
  /** `SSH 10.0.2.2:22` */
  what: z.string(),
  /** Error of the last attempt. */
  error: z.string(),
  tries: z.int(),
  since: z.int(),
  deadline: z.int(),
});

export const phaseViewSchema = z.object({
  phase: phaseSchema,
  state: phaseStateSchema,
  /** How often it was started. */
  attempts: z.int(),
  startedAt: time,
  finishedAt: time,
  worker: z.string().nullable(),
  /** Null while it is not waiting. */
  waiting: waitingViewSchema.nullable(),
});

export const stepViewSchema = z.object({
  index: z.int(),
  name: z.string().nullable(),
  type: z.string(),
  state: z.enum(['waiting', 'running', 'succeeded', 'failed', 'cancelled', 'skipped']),
  startedAt: time,
  finishedAt: time,
  exitCode: z.int().nullable(),
});

/** A step of a VM that waits for a person at its console. */
export const handbuildViewSchema = z.object({
  step: z.int(),
  name: z.string().nullable(),
  instructions: z.string(),
  since: z.int(),
  /** Of a failed step whose machine is kept; null: the module asks for a person. */
  kept: keptSchema.nullable(),
});

export const vmViewSchema = z.object({
  vm: z.string(),
  /** The phases that it passes through, in order: an imported image starts no machine. */
  phases: z.array(phaseViewSchema).min(1).max(PHASES.length),
  steps: z.array(stepViewSchema),
  /** Null while it does not wait for a person. */
  handbuild: handbuildViewSchema.nullable(),
  failure: failureSchema.nullable(),
  /** API path of the picture kept as evidence, if there is one. */
  screenshot: z.string().nullable(),
});

export const moduleViewSchema = z.object({
  name: z.string(),
  layerKey: z.string(),
  action: actionSchema,
  /** Reason of the action, in a few words. */
  why: z.string(),
  state: buildStateSchema,
  layerBuild: z.string().nullable(),
  generation: z.int().nullable(),
  cluster: z.string().nullable(),
  dependsOn: z.array(z.string()),
  vms: z.array(vmViewSchema),
  images: z.array(imageSchema),
  failure: failureSchema.nullable(),
});

/** How far the modules of a build are. `failed` are also those that were not built because another one failed. */
export const moduleCountsSchema = z.object({
  all: z.int(),
  open: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  cancelled: z.int(),
});

const buildHeadSchema = z.object({
  buildId: z.string(),
  state: buildStateSchema,
  createdAt: z.int(),
  finishedAt: time,
  /** Name of the token that asked for it; null for builds of older farms. */
  submittedBy: z.string().nullable(),
  /** Of a clone, which makes no image: the image that it is of, `NAME:VERSION`. */
  run: z.string().nullable(),
});

/** `GET /builds/:id`. */
export const buildViewSchema = buildHeadSchema.extend({
  /** Of the whole build. */
  counts: moduleCountsSchema,
  /** One page of them, parents before their children. */
  modules: z.array(moduleViewSchema),
  /** Start of the next page; null: this is the last one. */
  nextCursor: z.string().nullable(),
  /** The chain of phase jobs (`<module>.<vm>.<phase>`) that was expected to last longest when the build was planned, reused modules left out. */
  criticalPath: z.array(z.string()),
  /** Id of the last event that the view is sure to contain: a stream continues from there. `0`: none. */
  lastEventId: z.string(),
});

/** `skipped`: its parent was not built. `waits for you`: a step of it waits for a person. */
const summaryStateSchema = z.enum([...buildStateSchema.options, 'skipped', 'waits for you']);

/** One row of `GET /builds`. */
export const buildSummarySchema = buildHeadSchema.extend({
  modules: z.array(z.object({ name: z.string(), state: summaryStateSchema })),
});

export const limitsSchema = z.object({
  imports: z.int().min(1),
  vms: z.int().min(1),
  cpu: z.number().positive(),
  memoryBytes: z.int().positive(),
});
export type Limits = z.infer<typeof limitsSchema>;

/** One cluster of `GET /clusters`. */
export const clusterViewSchema = z.object({
  name: z.string(),
  healthy: z.boolean(),
  message: z.string().nullable(),
  /** Requirements that the cluster does not meet, by the preflight. */
  findings: z.array(findingSchema),
  mode: clusterModeSchema,
  /** Author and time of the last change of mode, limits or labels; null: they are as configured. */
  changed: z.object({ by: z.string(), at: z.int() }).nullable(),
  labels: labelsSchema,
  /** As they are now; `configured` are those of the configuration. */
  limits: limitsSchema,
  configured: limitsSchema,
  inUse: z.object({ imports: z.int(), vms: z.int(), cpu: z.number(), memoryBytes: z.int() }),
  /** Null: its driver does not report free space, or it was not read yet. */
  storage: storageRoomSchema.nullable(),
  /** The holders of VM slots. */
  holders: z.array(z.object({ layerBuild: z.string(), module: z.string(), vms: z.int() })),
  queues: z.array(z.object({ phase: phaseSchema, waiting: z.int(), active: z.int() })),
  workers: z.array(z.object({ phase: phaseSchema, processes: z.int(), capacity: z.int() })),
});

export type WaitingView = z.infer<typeof waitingViewSchema>;
export type PhaseView = z.infer<typeof phaseViewSchema>;
export type StepView = z.infer<typeof stepViewSchema>;
export type VmView = z.infer<typeof vmViewSchema>;
export type ModuleView = z.infer<typeof moduleViewSchema>;
export type ModuleCounts = z.infer<typeof moduleCountsSchema>;
export type BuildView = z.infer<typeof buildViewSchema>;
export type BuildSummary = z.infer<typeof buildSummarySchema>;
export type ClusterView = z.infer<typeof clusterViewSchema>;
