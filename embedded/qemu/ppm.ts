import { FarmError } from '../../common/errors/farm-error.ts';

/** A picture of 8 bits a colour. */
export interface RgbPicture {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel, rows from the top. */
  readonly rgb: Buffer;
}

/** Reads a binary PPM file (`P6`, at most 255) as QEMU's screendump writes it. */
export function parsePpm(file: Buffer): RgbPicture {
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(file.toString('latin1', 0, 64));
  if (!header) throw new FarmError('BrokenInvariant', 'QEMU wrote a picture that is not a PPM file');
  const [width, height] = [Number(header[1]), Number(header[2])];
  return { width, height, rgb: file.subarray(header[0].length, header[0].length + 3 * width * height) };
}
