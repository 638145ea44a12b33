import { z } from 'zod';
import { sha256Schema } from './blobs.ts';

const MAX_TEXT = 4_096;

/** Where the disk of an image comes from: a URL, or a local file that was put at `/api/v1/blobs/{sha256}`. */
const importSourceSchema = z.union([
  z.strictObject({
    url: z.string().max(MAX_TEXT).describe('A disk image: qcow2, raw, VMDK, VDI, VHD or VHDX, also compressed.'),
    checksum: z.string().max(MAX_TEXT).optional().describe('Its expected checksum, such as `sha256:…`.'),
  }),
  z.strictObject({
    sha256: sha256Schema.describe('Of a content in the store of the farm.'),
    sizeBytes: z.int().min(1).describe('Its size.'),
  }),
]);

/** Body of `POST /images/{module}/imports`. Sizes and numbers as module files write them. */
export const importRequestSchema = z.strictObject({
  source: importSourceSchema,
  firmware: z.enum(['bios', 'efi']).default('bios').describe('Firmware that the disk boots with.'),
  secureBoot: z.boolean().default(false).describe('Only with `efi`: start signed loaders only.'),
  cpu: z.string().max(MAX_TEXT).optional().describe('CPUs of its clones, as `resources.cpu` of a module.'),
  memory: z.string().max(MAX_TEXT).optional().describe('Memory of its clones, as `resources.memory` of a module.'),
  sshUsername: z.string().max(MAX_TEXT).optional().describe('The account that people log in to clones with.'),
});

export type ImportRequest = z.output<typeof importRequestSchema>;
export type ImportOrder = z.input<typeof importRequestSchema>;
