import { access, stat, statfs } from 'node:fs/promises';

/** Of `st_blocks` (stat(2)). */
const BLOCK_BYTES = 512;

/** Bytes that a file takes on its disk. */
export async function allocatedBytes(path: string): Promise<number> {
  return BLOCK_BYTES * (await stat(path)).blocks;
}

/** Free bytes of the file system that a directory is on, as an ordinary user has it. */
export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

export async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

export async function isSameFile(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([stat(a), stat(b)]);
  return first.ino === second.ino && first.dev === second.dev;
}
