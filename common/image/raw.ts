import { type ImageBytes, ImageRefused } from './image-bytes.ts';

const SECTOR = 512;
/** Padding that CD writers add behind the counted size, or leave out. */
const ISO_SLACK_BYTES = 150 * 2048;

/** Purpose of a raw image. `hybrid`: an ISO that also boots from a disk. `data`: a disk that no firmware starts from. */
export type RawKind = 'disk' | 'iso' | 'hybrid' | 'data';

/** Purpose of a raw image by its first 64 KiB. @throws ImageRefused when it is not whole */
export function checkRaw({ lengthBytes }: ImageBytes, head: Buffer): RawKind {
  const hasBootSector = head.length >= SECTOR && head.readUInt16LE(510) === 0xaa55;
  if (isIso(head)) {
    const volume = head.toString('latin1', 0x8001, 0x8006) === 'CD001' ? head.readUInt32LE(0x8050) * 2048 : 0;
    if (lengthBytes !== undefined && lengthBytes + ISO_SLACK_BYTES < volume) {
      throw new ImageRefused(`an ISO that was cut off: it has ${lengthBytes} of ${volume} bytes`);
    }
    return hasBootSector ? 'hybrid' : 'iso';
  }
  if (lengthBytes !== undefined && lengthBytes < SECTOR) {
    throw new ImageRefused(`not a disk image: ${lengthBytes} bytes are less than one sector`);
  }
  const hasGpt = head.toString('latin1', SECTOR, SECTOR + 8) === 'EFI PART';
  // The second copy of the table is in the last sector of the disk.
  const end = hasGpt && head.length >= SECTOR + 40 ? (Number(head.readBigUInt64LE(SECTOR + 32)) + 1) * SECTOR : 0;
  if (lengthBytes !== undefined && lengthBytes < end) {
    throw new ImageRefused(`a raw disk image that was cut off: it has ${lengthBytes} of ${end} bytes`);
  }
  // GPT, too, has such a sector before it.
  return hasBootSector ? 'disk' : 'data';
}

/** ISO 9660, or the beginning of UDF. */
function isIso(head: Buffer): boolean {
  return ['CD001', 'BEA01'].includes(head.toString('latin1', 0x8001, 0x8006)) && head.length >= 0x8054;
}
