import { type ImageBytes, ImageRefused } from './image-bytes.ts';

/** VirtualBox's VDICore.h: all numbers are little-endian. */
const HEADER = 0x200;
const NO_PARENT = Buffer.alloc(16);
const BLOCK_BYTES = 1024 ** 2;
const MOST_BLOCKS = 0x3fff_ffff;

/** The virtual size of a VDI that is self-contained and complete. @throws ImageRefused */
export async function checkVdi({ lengthBytes }: ImageBytes, head: Buffer): Promise<number> {
  const refuse = (why: string): never => {
    throw new ImageRefused(`a VDI ${why}`);
  };
  if (head.length < HEADER) refuse(`of ${head.length} bytes: its header is not whole`);
  const kind = head.readUInt32LE(0x4c);
  if (head.readUInt32LE(0x44) !== 0x0001_0001) refuse('of an unknown version');
  if (kind === 4 || !head.subarray(0x1a8, 0x1b8).equals(NO_PARENT)) refuse('that needs its parent (differencing)');
  if (kind !== 1 && kind !== 2) refuse(`of the unknown kind ${kind}`);
  const size = Number(head.readBigUInt64LE(0x170));
  const [blocks, allocated] = [head.readUInt32LE(0x180), head.readUInt32LE(0x184)];
  if (head.readUInt32LE(0x178) !== BLOCK_BYTES || blocks > MOST_BLOCKS || size === 0 || size > blocks * BLOCK_BYTES) {
    refuse('whose header is broken: its blocks do not fit its size');
  }
  const end = head.readUInt32LE(0x158) + allocated * BLOCK_BYTES;
  if (lengthBytes !== undefined && lengthBytes < end) {
    refuse(`that was cut off: it has ${lengthBytes} of ${end} bytes`);
  }
  return size;
}
