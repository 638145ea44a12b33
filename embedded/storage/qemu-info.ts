import { basename } from 'node:path';
import { z } from 'zod';
import type { ImageFormat } from '../../common/image/probe-image.ts';
import { runCommand } from '../host/run-command.ts';
import { ImportError } from './import-error.ts';

/** The fields of `qemu-img info --output=json` that name files (QEMU's qapi/block-core.json). */
const infoSchema = z.object({
  filename: z.string(),
  format: z.string(),
  'virtual-size': z.int(),
  encrypted: z.boolean().optional(),
  'backing-filename': z.string().optional(),
  'format-specific': z
    .object({
      data: z.object({
        'data-file': z.string().optional(),
        extents: z.array(z.object({ filename: z.string() })).optional(),
      }),
    })
    .optional(),
});

/** The virtual size of an image that our parser has accepted, once QEMU agrees that it needs no other file. */
export async function assertAlone(image: string, format: ImageFormat, signal: AbortSignal): Promise<number> {
  const info = infoSchema.parse(
    JSON.parse(await runCommand('qemu-img', ['info', '--output=json', '-f', format, image], { signal })),
  );
  const { data } = info['format-specific'] ?? {};
  const others = [
    info['backing-filename'],
    data?.['data-file'],
    ...(data?.extents ?? []).map(({ filename }) => filename),
  ].filter((name) => name !== undefined && name !== image);
  if (info.encrypted === true || others.length > 0) {
    const name = basename(image);
    const names = others.map((other) => JSON.stringify(other)).join(', ');
    throw new ImportError('Error', `Image ${name} is invalid because it has invalid backing file ${names}`);
  }
  return info['virtual-size'];
}
