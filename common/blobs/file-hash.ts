import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';

const CHUNK_BYTES = 1024 ** 2;

/** Feeds the whole content of a file to a hash. @throws the errors of reading it */
export async function addFile(hash: Hash, path: string): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) hash.update(chunk as Buffer);
}

/** SHA-256 of a file, in hexadecimal. @throws the errors of reading it */
export async function hashOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await addFile(hash, path);
  return hash.digest('hex');
}
