import { z } from 'zod';

/**
 * Mode of a cluster. `open`: takes all modules; `cordoned`: no new modules; `draining`: also, no module begins an import or gets
 * machines, while those that have them continue to their end; `paused`: no job of it is handed out.
 */
export const CLUSTER_MODES = ['open', 'cordoned', 'draining', 'paused'] as const;
export const clusterModeSchema = z.enum(CLUSTER_MODES);
export type ClusterMode = z.infer<typeof clusterModeSchema>;

/** How Kubernetes writes keys of labels. */
export const LABEL_KEY = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

const labelKeySchema = z.string().max(317).regex(LABEL_KEY, 'A key of a label is letters, digits, ".", "_" and "-".');
const labelValueSchema = z
  .string()
  .regex(
    /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/,
    'The value of a label is at most 63 letters, digits, ".", "_" and "-".',
  );
export const labelsSchema = z.record(labelKeySchema, labelValueSchema);
export type Labels = Readonly<Record<string, string>>;

/** Virtual cores of a limit; the farm counts thousandths of them. */
export const coresSchema = z.number().min(0.001);

/** A change of a cluster; absent fields stay. `null` restores the configured limit, and removes a label. */
export const clusterChangeSchema = z.strictObject({
  mode: clusterModeSchema.optional(),
  limits: z
    .strictObject({
      imports: z.int().min(1).max(1_000_000).nullable().optional(),
      vms: z.int().min(1).max(1_000_000).nullable().optional(),
      cpu: coresSchema.max(1_000_000).nullable().optional(),
      memoryBytes: z.int().positive().nullable().optional(),
    })
    .optional(),
  labels: z.record(labelKeySchema, labelValueSchema.nullable()).optional(),
});
export type ClusterChange = z.infer<typeof clusterChangeSchema>;

/** Whether a cluster with these labels has all that a module asks for. */
export function hasLabels(labels: Labels, asked: Labels): boolean {
  return Object.entries(asked).every(([key, value]) => labels[key] === value);
}

/** `zone=eu, disk=fast`; empty: none. */
export function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}
