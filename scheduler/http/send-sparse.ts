import { type FileHandle, open } from 'node:fs/promises';
import type { Request, Response } from 'express';
import { FarmError } from '../../common/errors/farm-error.ts';
import { SPARSE_TYPE, sparseOf } from '../../common/nbd/sparse-stream.ts';

const PIECE_BYTES = 1024 ** 2;

/** Sends a file without its zeros, from `bytes=FIRST-` on where that is asked. @throws InvalidRequest */
export async function sendSparse(path: string, { headers, method }: Request, response: Response): Promise<undefined> {
  await using file = await open(path);
  const { size: sizeBytes } = await file.stat();
  const first = /^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1];
  const start = Number(first ?? 0);
  if (start > sizeBytes)
    throw new FarmError('InvalidRequest', `The file has ${sizeBytes} bytes, and byte ${start} is asked for.`);
  response.status(first === undefined ? 200 : 206).set('content-type', SPARSE_TYPE);
  if (method === 'HEAD') return void response.end();
  try {
    for await (const piece of sparseOf(contentOf(file, start), { start, sizeBytes })) await write(response, piece);
    response.end();
  } catch {
    // The client continues where it was.
    response.destroy();
  }
  return undefined;
}

/** By one buffer, which is free again when the next piece is asked for: those that pass through a process are garbage of V8. */
async function* contentOf(file: FileHandle, start: number): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (let at = start; ; ) {
    const { bytesRead } = await file.read(buffer, 0, PIECE_BYTES, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

/** Resolves when the bytes have been sent. */
function write(response: Response, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
