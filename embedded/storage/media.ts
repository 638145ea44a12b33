import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type DiscFiles, isoImage } from './iso9660.ts';

/** A disc made of a few files. */
export interface DiscOptions {
  /** Volume label, at most 32 characters; Joliet keeps 16 of them. */
  readonly label: string;
  readonly files: DiscFiles;
  /** The image to write. */
  readonly path: string;
}

/** Writes the image of a disc. */
export async function makeDisc({ label, files, path }: DiscOptions): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, isoImage(label, files), { mode: 0o600 });
  await rename(`${path}.new`, path);
}
