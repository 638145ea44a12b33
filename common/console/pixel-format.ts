import { PIXEL_BYTES } from './screen.ts';

/** How a viewer wants its pixels (RFC 6143, 7.4): true colour only, so without a colour map. */
export interface PixelFormat {
  readonly bytesPerPixel: 1 | 2 | 4;
  readonly bigEndian: boolean;
  /** Red, green, blue: the largest value of each, and by how many bits it is shifted. */
  readonly channels: readonly [Channel, Channel, Channel];
}

interface Channel {
  readonly max: number;
  readonly shift: number;
}

/** Length of a pixel format on the wire. */
export const FORMAT_BYTES = 16;

/** Format of `Screen`, and of QEMU. */
export const SCREEN_FORMAT: PixelFormat = {
  bytesPerPixel: PIXEL_BYTES,
  bigEndian: false,
  channels: [
    { max: 255, shift: 16 },
    { max: 255, shift: 8 },
    { max: 255, shift: 0 },
  ],
};

/** Reads the format that a viewer requests. @throws RangeError when that cannot be served */
export function readPixelFormat(bytes: Buffer): PixelFormat {
  const bits = bytes.readUInt8(0);
  if (bits !== 8 && bits !== 16 && bits !== 32) throw new RangeError(`${bits} bits a pixel are not served.`);
  if (bytes.readUInt8(3) === 0) throw new RangeError('Pixels by a colour map are not served.');
  const channel = (index: number): Channel => {
    const [max, shift] = [bytes.readUInt16BE(4 + 2 * index), bytes.readUInt8(10 + index)];
    if (max === 0 || shift + Math.log2(max + 1) > bits) throw new RangeError('A colour does not fit its pixel.');
    return { max, shift };
  };
  return {
    bytesPerPixel: (bits / 8) as 1 | 2 | 4,
    bigEndian: bytes.readUInt8(2) !== 0,
    channels: [channel(0), channel(1), channel(2)],
  };
}

export function writePixelFormat({ bytesPerPixel, bigEndian, channels }: PixelFormat): Buffer {
  const bytes = Buffer.alloc(FORMAT_BYTES);
  const depth = channels.reduce((sum, { max }) => sum + Math.log2(max + 1), 0);
  bytes.set([bytesPerPixel * 8, depth, bigEndian ? 1 : 0, 1]);
  for (const [index, { max, shift }] of channels.entries()) {
    bytes.writeUInt16BE(max, 4 + 2 * index);
    bytes.writeUInt8(shift, 10 + index);
  }
  return bytes;
}

/** Turns pixels of a screen into a viewer's; both buffers from their start on. */
export type PixelWriter = (from: Buffer, to: Buffer) => void;

/** Prepares the conversion into a format. */
export function pixelWriter(format: PixelFormat): PixelWriter {
  const { bytesPerPixel, bigEndian, channels } = format;
  if (writePixelFormat(format).equals(writePixelFormat(SCREEN_FORMAT))) return (from, to) => void from.copy(to);
  const [red, green, blue] = channels.map(({ max, shift }) =>
    new Float64Array(256).map((_, value) => Math.round((value * max) / 255) * 2 ** shift),
  ) as [Float64Array, Float64Array, Float64Array];
  const value = (from: Buffer, at: number) =>
    (red[from[at + 2] ?? 0] ?? 0) + (green[from[at + 1] ?? 0] ?? 0) + (blue[from[at] ?? 0] ?? 0);
  return (from, to) => {
    for (let at = 0, target = 0; at < from.length; at += PIXEL_BYTES, target += bytesPerPixel) {
      if (bigEndian) to.writeUIntBE(value(from, at), target, bytesPerPixel);
      else to.writeUIntLE(value(from, at), target, bytesPerPixel);
    }
  };
}
