import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { zeros } from '../../common/nbd/run.ts';
import type { RemoteDisk } from './remote-disk.ts';

/** TLS hands on pieces of 16 KiB, too small to wait for the file with each. */
const WRITE_BYTES = 1024 ** 2;

/** Writes a disk to a sparse file and returns its SHA-256, in hexadecimal; `onProgress` receives percents. */
export async function writeRaw(disk: RemoteDisk, path: string, onProgress: (percent: number) => void): Promise<string> {
  const hash = createHash('sha256');
  const { sizeBytes } = disk;
  const file = await open(path, 'w', 0o600);
  try {
    for (let at = 0; at < sizeBytes; at += WRITE_BYTES) {
      const runs = await disk.read(at, Math.min(WRITE_BYTES, sizeBytes - at));
      const pieces = runs.flatMap(({ length, bytes }) => (bytes ? [bytes] : [...zeros(length)]));
      for (const piece of pieces) hash.update(piece);
      if (runs.some(({ bytes }) => bytes !== null)) await file.writev(pieces, at);
      onProgress(Math.floor((100 * at) / sizeBytes));
    }
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}
