import { createWriteStream } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { ImportError, READ_IMAGE, sourceTooLarge } from './import-error.ts';
import { IMPORT_FILES } from './import-files.ts';
import { writePlain } from './write-plain.ts';

/**
 * Takes the disk out of the layers of a container image. As CDI's importer does: the layers from the lowest up, and in them the
 * first file below `/disk/` that is not a whiteout; what higher layers do to it is not looked at.
 */
export async function takeDisk(
  directory: string,
  bound: { readonly mostBytes: number },
  signal: AbortSignal,
): Promise<void> {
  const count = (await readdir(directory)).filter((name) => name.startsWith(IMPORT_FILES.layer)).length;
  for (let index = 0; index < count; index++) {
    const layer = join(directory, `${IMPORT_FILES.layer}${index}`);
    const isFound = await takeFrom(layer, join(directory, IMPORT_FILES.part), { ...bound, signal });
    await rm(layer);
    if (isFound) return;
  }
  throw new ImportError('Error', `${READ_IMAGE} Failed to find VM disk image file in the container image`);
}

/** Whether the disk was in the layer. */
async function takeFrom(
  layer: string,
  target: string,
  { mostBytes, signal }: { readonly mostBytes: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const archive = extract();
  // The types of streamx are its own; it is a writable stream to Node.
  const written = writePlain(layer, archive as unknown as NodeJS.WritableStream, signal);
  written.catch((error: Error) => archive.destroy(error));
  let isFound = false;
  for await (const entry of archive) {
    if (isFound || !isDisk(entry.header)) {
      entry.resume();
      continue;
    }
    const { size = 0 } = entry.header;
    if (size > mostBytes) throw sourceTooLarge(`the disk in the container image has ${size} bytes`);
    await pipeline(entry as AsyncIterable<Buffer>, createWriteStream(target), { signal });
    isFound = true;
  }
  await written;
  return isFound;
}

function isDisk({ name, type }: Header): boolean {
  return type === 'file' && /^(\.?\/)?disk\/./.test(name) && !/(^|\/)\.wh\.[^/]*$/.test(name);
}
