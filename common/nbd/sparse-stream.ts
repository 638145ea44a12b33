import { ByteSource } from './byte-source.ts';
import { isZero, type Run, zeros } from './run.ts';

/**
 * The media type of a disk without what is zero in it: the size of the disk, then runs of data in ascending order, each as
 * offset, length and bytes. The last run has no bytes; its offset is the end. Numbers are unsigned, of 8 bytes, big endian.
 * A client offers it in `Accept`, and gets raw bytes from servers that do not know it, such as KubeVirt's. A range is one of the
 * raw bytes in both cases.
 */
export const SPARSE_TYPE = 'application/vnd.slipway.sparse';

/** Zeros are left out where a whole one of these is zero. */
const BLOCK_BYTES = 64 * 1024;

/** How a disk is written to a stream. */
export interface DiskEncoding {
  head(sizeBytes: number): Iterable<Buffer>;
  data(offset: number, pieces: readonly Buffer[]): Iterable<Buffer>;
  zeros(length: number): Iterable<Buffer>;
  tail(end: number): Iterable<Buffer>;
}

/** Bytes of a disk, both ends included, and how they are written. */
export interface DiskPart {
  readonly start: number;
  readonly end: number;
  readonly encoding: DiskEncoding;
  readonly signal: AbortSignal;
}

export const RAW: DiskEncoding = {
  head: () => [],
  data: (_, pieces) => pieces,
  zeros,
  tail: () => [],
};

export const SPARSE: DiskEncoding = {
  head: (sizeBytes) => [numbers(sizeBytes)],
  data: (offset, pieces) => [
    numbers(
      offset,
      pieces.reduce((sum, piece) => sum + piece.length, 0),
    ),
    ...pieces,
  ],
  zeros: () => [],
  tail: (end) => [numbers(end, 0)],
};

/** Whether a request is to be answered without zeros. */
export function wantsSparse({ accept }: { readonly accept?: string | undefined }): boolean {
  return accept?.includes(SPARSE_TYPE) ?? false;
}

/** The bytes of a disk from `start` on, in the sparse form. */
export async function* sparseOf(
  chunks: AsyncIterable<Buffer>,
  { start, sizeBytes }: { readonly start: number; readonly sizeBytes: number },
): AsyncGenerator<Buffer> {
  yield* SPARSE.head(sizeBytes);
  let at = start;
  for await (const chunk of chunks) {
    for (const data of dataOf(chunk)) yield* SPARSE.data(at + data.from, [chunk.subarray(data.from, data.to)]);
    at += chunk.length;
  }
  yield* SPARSE.tail(at);
}

/** Where a chunk has data, in whole blocks. */
function* dataOf(chunk: Buffer): Generator<{ readonly from: number; readonly to: number }> {
  let from: number | null = null;
  for (let at = 0; at < chunk.length; at += BLOCK_BYTES) {
    const isHole = isZero(chunk.subarray(at, at + BLOCK_BYTES));
    if (!isHole) from ??= at;
    else if (from !== null) {
      yield { from, to: at };
      from = null;
    }
  }
  if (from !== null) yield { from, to: chunk.length };
}

/** A disk that arrives in the sparse form, from `start` on. @throws Error when it ends too soon */
export async function readSparse(
  chunks: AsyncIterable<Buffer>,
  start: number,
): Promise<{ readonly sizeBytes: number; readonly runs: AsyncGenerator<Run> }> {
  const source = new ByteSource(chunks);
  const [sizeBytes = 0] = await takeNumbers(source, 1);
  return { sizeBytes, runs: runsOf(source, start) };
}

async function* runsOf(source: ByteSource, start: number): AsyncGenerator<Run> {
  let position = start;
  try {
    for (;;) {
      const [offset = 0, length = 0] = await takeNumbers(source, 2);
      if (offset < position) throw new Error(`A run at ${offset} comes after byte ${position}`);
      if (offset > position) yield { length: offset - position, bytes: null };
      if (length === 0) return;
      for await (const bytes of source.pieces(length)) yield { length: bytes.length, bytes };
      position = offset + length;
    }
  } finally {
    await source.close();
  }
}

async function takeNumbers(source: ByteSource, count: number): Promise<number[]> {
  const bytes = await source.take(8 * count);
  return Array.from({ length: count }, (_, index) => Number(bytes.readBigUInt64BE(8 * index)));
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [index, value] of values.entries()) bytes.writeBigUInt64BE(BigInt(value), 8 * index);
  return bytes;
}
