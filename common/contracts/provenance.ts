import { z } from 'zod';

const digestSchema = z.record(z.string(), z.string());

const dependencySchema = z.object({ uri: z.string(), digest: digestSchema });

const stepRunSchema = z.object({
  vm: z.string(),
  /** Its place among the steps of the VM, from 0. */
  step: z.int(),
  name: z.string().nullable(),
  type: z.string(),
  /** How often it had been run before because a person asked for it. */
  attempt: z.int(),
  /** ISO 8601. */
  startedOn: z.string(),
  finishedOn: z.string().nullable(),
  /** Null: a person continued without it. */
  outcome: z.enum(['succeeded', 'failed']).nullable(),
});

/**
 * The provenance of an image: an in-toto statement (v1) with SLSA provenance (v1) as its predicate. Digests of snapshots are not
 * known to the farm; `slipwayLayer` names the layer that a disk belongs to. Fields beyond SLSA begin with `slipway_`.
 */
export const provenanceSchema = z.object({
  _type: z.literal('https://in-toto.io/Statement/v1'),
  subject: z.array(
    z.object({
      /** `MODULE:VERSION/VM/DISK` */
      name: z.string(),
      digest: digestSchema,
      annotations: z.record(z.string(), z.string()),
    }),
  ),
  predicateType: z.literal('https://slsa.dev/provenance/v1'),
  predicate: z.object({
    buildDefinition: z.object({
      buildType: z.string(),
      externalParameters: z.object({
        module: z.string(),
        /** The module with every variable filled in; null when the farm has forgotten the build. Secrets are names only. */
        definition: z.unknown(),
      }),
      internalParameters: z.object({
        recipeKey: z.string(),
        cluster: z.string(),
        vms: z.unknown(),
        network: z.unknown(),
      }),
      /** Parents first, then sources. */
      resolvedDependencies: z.array(dependencySchema),
    }),
    runDetails: z.object({
      builder: z.object({ id: z.string(), version: z.record(z.string(), z.string()) }),
      metadata: z.object({ invocationId: z.string(), startedOn: z.string().optional(), finishedOn: z.string() }),
      /** Name of the token that asked for it. */
      slipway_by: z.string().nullable(),
      /** Whether a person had a failed step run again, or continued without it. */
      slipway_changedByHand: z.boolean(),
      slipway_steps: z.array(stepRunSchema),
    }),
  }),
});

export type Provenance = z.infer<typeof provenanceSchema>;
export type Dependency = z.infer<typeof dependencySchema>;
export type StepRun = z.infer<typeof stepRunSchema>;
