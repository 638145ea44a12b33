import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from '../host/run-command.ts';

/** A disc made of a few files. */
export interface DiscOptions {
  /** Volume label, at most 32 characters. */
  readonly label: string;
  /** Content by path; folders are made. */
  readonly files: ReadonlyMap<string, Buffer | string>;
  /** The image to write. */
  readonly path: string;
}

/** Writes an ISO 9660 image with Joliet and Rock Ridge names, so that Windows and Linux read the same names. */
export async function makeDisc({ label, files, path }: DiscOptions): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const staging = await mkdtemp(`${path}-`);
  try {
    for (const [name, content] of files) {
      const file = join(staging, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content, { mode: 0o644 });
    }
    const image = `${path}.new`;
    const options = ['-as', 'mkisofs', '-quiet', '-V', label, '-J', '-joliet-long', '-r', '-o', image, staging];
    await runCommand('xorriso', options);
    await rename(image, path);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
