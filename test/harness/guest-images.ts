import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { packagePath } from '../../common/config/package-root.ts';

/** Paths of the built guests. They are shared by everyone on this machine: use them through overlays, never write. */
export type GuestImages = Readonly<z.infer<typeof guestImagesSchema>>;

const guestImagesSchema = z.object({
  cloudImage: z.string(),
  /** The cloud image behind a boot chain that Secure Boot accepts; by UEFI only, with 512 MiB of memory. */
  signedImage: z.string(),
  installerIso: z.string(),
  debianImage: z.string().nullable(),
});

const buildScript = packagePath('test', 'guest', 'build.sh');

/**
 * Builds the guests, or finds them in the cache (then within a second). `debianImage` is null unless `debian` was asked
 * for, which takes minutes to build. Rejects with what the build wrote to stderr when it fails.
 */
export async function guestImages(kind: 'tiny' | 'debian' = 'tiny'): Promise<GuestImages> {
  const { stdout } = await promisify(execFile)('bash', [buildScript, kind], { maxBuffer: 64 << 20 });
  return guestImagesSchema.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
}
