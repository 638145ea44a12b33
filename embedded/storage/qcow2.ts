import { type FileHandle, open } from 'node:fs/promises';
import { QCOW2_MAGIC as MAGIC, MOST_BACKING_NAME, parseQcow2Header } from '../../common/image/qcow2.ts';

/** QEMU's docs/interop/qcow2.txt: all numbers are big-endian. */
const CLUSTER_BITS = 16;
const CLUSTER = 1 << CLUSTER_BITS;
/** Length of a version 3 header with the compression type field and its padding. */
const HEADER_LENGTH = 112;
const BACKING_FORMAT_EXTENSION = 0xe2792aca;
/** How many bytes of the disk one entry of the first-level table covers. */
const BYTES_PER_L1_ENTRY = (CLUSTER / 8) * CLUSTER;

/** Header of a qcow2 file of ours. */
export interface Qcow2Summary {
  readonly virtualSizeBytes: number;
  /** As written in the file; usually relative to its directory. */
  readonly backingFile: string | undefined;
  /** Whether its content is in another file (`data-file`): none of ours is. */
  readonly hasExternalData: boolean;
}

/** Reads the header; undefined when the file is not a qcow2 file. */
export async function readQcow2Header(path: string): Promise<Qcow2Summary | undefined> {
  const file = await open(path, 'r');
  try {
    const header = parseQcow2Header(await readAt(file, 0, HEADER_LENGTH));
    if (!header) return undefined;
    const { virtualSizeBytes, backingFile: backing, hasExternalData } = header;
    const name = backing && (await readAt(file, backing.offset, Math.min(backing.length, MOST_BACKING_NAME)));
    return { virtualSizeBytes, backingFile: name?.toString(), hasExternalData };
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}

/** A new, empty qcow2 file. */
export interface NewQcow2 {
  readonly virtualSizeBytes: number;
  /** The qcow2 file to read unwritten clusters from; relative to the new file's directory. */
  readonly backingFile?: string;
}

/**
 * Writes an empty qcow2 file. Done here instead of by `qemu-img create` because a clone is only this file, and
 * starting a process would take most of its time. Clusters: header, refcount table, refcount block, first-level table.
 */
export async function writeEmptyQcow2(path: string, { virtualSizeBytes, backingFile }: NewQcow2): Promise<void> {
  const l1Entries = Math.max(1, Math.ceil(virtualSizeBytes / BYTES_PER_L1_ENTRY));
  const clusters = 3 + Math.ceil((l1Entries * 8) / CLUSTER);
  const image = Buffer.alloc(clusters * CLUSTER);
  image.writeUInt32BE(MAGIC, 0);
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(CLUSTER_BITS, 20);
  image.writeBigUInt64BE(BigInt(virtualSizeBytes), 24);
  image.writeUInt32BE(l1Entries, 36);
  image.writeBigUInt64BE(BigInt(3 * CLUSTER), 40);
  image.writeBigUInt64BE(BigInt(CLUSTER), 48);
  image.writeUInt32BE(1, 56); // The refcount table has one cluster.
  image.writeUInt32BE(4, 96); // Refcounts are 2^4 bits wide.
  image.writeUInt32BE(HEADER_LENGTH, 100);
  image.writeBigUInt64BE(BigInt(2 * CLUSTER), CLUSTER);
  for (let cluster = 0; cluster < clusters; cluster++) image.writeUInt16BE(1, 2 * CLUSTER + 2 * cluster);
  if (backingFile !== undefined) writeBacking(image, backingFile);
  const file = await open(path, 'w');
  try {
    await file.writeFile(image);
    await file.datasync();
  } finally {
    await file.close();
  }
}

function writeBacking(image: Buffer, backingFile: string): void {
  image.writeUInt32BE(BACKING_FORMAT_EXTENSION, HEADER_LENGTH);
  image.writeUInt32BE('qcow2'.length, HEADER_LENGTH + 4);
  image.write('qcow2', HEADER_LENGTH + 8);
  // The extension is padded to 8 bytes and followed by the empty one that ends the list.
  const nameOffset = HEADER_LENGTH + 8 + 8 + 8;
  image.writeBigUInt64BE(BigInt(nameOffset), 8);
  image.writeUInt32BE(Buffer.byteLength(backingFile), 16);
  image.write(backingFile, nameOffset);
}
