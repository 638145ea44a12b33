import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type Compression, detectImage } from './image-format.ts';

/** Writes what is in a file, unpacked if it is compressed, and ends the destination. */
export async function writePlain(path: string, destination: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  const { compression } = await detectImage(path);
  if (compression === undefined) await pipeline(createReadStream(path), destination, { signal });
  else if (compression === 'gzip') await pipeline(createReadStream(path), createGunzip(), destination, { signal });
  else await unpackWith(compression, { path, destination, signal });
}

interface Unpacking {
  readonly path: string;
  readonly destination: NodeJS.WritableStream;
  readonly signal: AbortSignal;
}

async function unpackWith(
  command: Exclude<Compression, 'gzip'>,
  { path, destination, signal }: Unpacking,
): Promise<void> {
  const child = spawn(command, ['-dc', path], { stdio: ['ignore', 'pipe', 'pipe'], signal });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}`))));
  });
  await Promise.all([pipeline(child.stdout, destination, { signal }), ended]);
}
