import { open } from 'node:fs/promises';
import type { ImageBytes } from './image-bytes.ts';

/** Hands the bytes of a file to `use`, and closes it. */
export async function withFileBytes<T>(path: string, use: (bytes: ImageBytes) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    const { size: lengthBytes } = await file.stat();
    const read = async (offset: number, length: number) => {
      const buffer = Buffer.alloc(Math.max(0, Math.min(length, lengthBytes - offset)));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
      return buffer.subarray(0, bytesRead);
    };
    return await use({ lengthBytes, read });
  } finally {
    await file.close();
  }
}
