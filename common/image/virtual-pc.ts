import { type ImageBytes, ImageRefused } from './image-bytes.ts';

/** Microsoft's "Virtual Hard Disk Image Format Specification": all numbers are big-endian. */
const FOOTER = 512;
const DYNAMIC = 3;
const MOST_BYTES = 2040 * 1024 ** 3;

/** The virtual size of a dynamic VHD (a fixed one has its footer at the end only, and is taken as raw). @throws ImageRefused */
export async function checkVhd(bytes: ImageBytes, head: Buffer): Promise<number> {
  if (head.length < FOOTER) throw new ImageRefused(`a VHD of ${head.length} bytes: its header is not whole`);
  const kind = head.readUInt32BE(60);
  if (kind === 4) throw new ImageRefused('a VHD that needs its parent (differencing): merge the two first');
  if (kind !== DYNAMIC) throw new ImageRefused(`a VHD of the unknown kind ${kind}`);
  const size = Number(head.readBigUInt64BE(48));
  if (size === 0 || size > MOST_BYTES) throw new ImageRefused(`a VHD of ${size} bytes`);
  const table = await bytes.read(Number(head.readBigUInt64BE(16)), 8);
  if (table.toString('latin1') !== 'cxsparse')
    throw new ImageRefused('a VHD whose header is broken: no dynamic header');
  const { lengthBytes } = bytes;
  if (lengthBytes === undefined) return size;
  // QEMU's and Microsoft's end with the footer; older ones of Virtual PC lack one byte of it.
  const footer = (await bytes.read(Math.max(0, lengthBytes - FOOTER), FOOTER)).toString('latin1', 0, 9);
  if (footer.includes('conectix')) return size;
  throw new ImageRefused(`a VHD that was cut off: it has ${lengthBytes} bytes, and no footer`);
}
