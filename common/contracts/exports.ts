import { z } from 'zod';

/** Formats of exported disks. */
export const EXPORT_FORMATS = ['qcow2', 'raw', 'vmdk', 'vhdx'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Body of `POST /images/{image}/exports`. */
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
  /** Suggested name of the file. */
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

/** Body of `POST /images/{image}/pushes`. */
export const pushRequestSchema = z.strictObject({
  reference: z
    .string()
    .max(512)
    .describe('Where to, as container tools write it: `quay.io/me/base:3`; without a tag it is `latest`.'),
  vm: z.string().optional().describe('Name of the VM, where the image has several.'),
  disk: z.string().optional().describe('Name of its disk, where it has several.'),
  secret: z.string().optional().describe('Name of a secret of the farm that holds `USER:PASSWORD` for the registry.'),
  credentials: z
    .strictObject({ username: z.string().max(1024), password: z.string().max(16_384) })
    .optional()
    .describe('The same, for this push only; it is kept nowhere.'),
});

/**
 * A disk of an image on its way to a registry. `exporting`: the farm makes a file of it; `packing`: it puts that into a layer;
 * `pushing`: the registry gets it.
 */
export const pushViewSchema = z.object({
  module: z.string(),
  version: z.int(),
  reference: z.string(),
  state: z.enum(['exporting', 'packing', 'pushing', 'pushed', 'failed']),
  /** Of the present state. */
  percent: z.int(),
  /** Of the manifest; null until it is pushed. */
  digest: z.string().nullable(),
  /** Why it failed. */
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});

export type PushView = z.infer<typeof pushViewSchema>;
