import { z } from 'zod';

/** What a disk can be taken out as. */
export const EXPORT_FORMATS = ['qcow2', 'raw', 'vmdk', 'vhdx'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** What `POST /images/{image}/exports` takes. */
export const exportRequestSchema = z.strictObject({
  vm: z.string().optional().describe('Name of the VM, where the image has several.'),
  disk: z.string().optional().describe('Name of its disk, where it has several.'),
  format: z.enum(EXPORT_FORMATS).default('qcow2').describe('Format of the file.'),
});

/**
 * A disk of an image on its way to a file. `waiting`: for its turn; `reading`: the farm reads it from its cluster;
 * `converting`: it writes the format that was asked for.
 */
export const exportViewSchema = z.object({
  id: z.string(),
  module: z.string(),
  version: z.int(),
  vm: z.string(),
  disk: z.string(),
  format: z.enum(EXPORT_FORMATS),
  /** What to call the file. */
  fileName: z.string(),
  state: z.enum(['waiting', 'reading', 'converting', 'ready', 'failed']),
  /** Of the present state. */
  percent: z.int(),
  /** Of the file; null until it is ready. */
  sizeBytes: z.int().nullable(),
  sha256: z.string().nullable(),
  /** Why it failed. */
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});

export type ExportView = z.infer<typeof exportViewSchema>;
