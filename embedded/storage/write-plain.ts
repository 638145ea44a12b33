import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { withFileBytes } from '../../common/image/file-bytes.ts';
import { type Compression, compressionOf } from '../../common/image/probe-image.ts';

/** Writes the content of a file, unpacked if it is compressed, and ends the destination. */
export async function writePlain(path: string, destination: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  const compression = await withFileBytes(path, async (bytes) => compressionOf(await bytes.read(0, 16)));
  if (compression === undefined) await pipeline(createReadStream(path), destination, { signal });
  else if (compression === 'gzip') await pipeline(createReadStream(path), createGunzip(), destination, { signal });
  else await unpackWith(compression, { path, destination, signal });
}

/** Characters of a command's error that are kept. */
const MOST_OUTPUT = 500;

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
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint = `${complaint}${chunk}`.slice(-MOST_OUTPUT);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) return resolve();
      // It names itself, and a temporary file that is meaningless to users.
      const words = complaint
        .trim()
        .replace(`${command}: `, '')
        .replace(new RegExp(`${path} ?: `, 'g'), '');
      reject(new Error(words === '' ? `${command} ended with ${code}` : words));
    });
  });
  await Promise.all([pipeline(child.stdout, destination, { signal }), ended]);
}
