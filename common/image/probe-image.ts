import { bareVolume } from './bare-volume.ts';
import { foreignContent } from './foreign-content.ts';
import { checkVhdx } from './hyper-v.ts';
import { BytesUnavailable, type ImageBytes, ImageRefused } from './image-bytes.ts';
import { checkQcow2 } from './qcow2.ts';
import { checkRaw, type RawKind } from './raw.ts';
import { checkVdi } from './virtual-box.ts';
import { checkVhd } from './virtual-pc.ts';
import { checkVmdk } from './vmdk.ts';

/** Formats of disks that an import understands, by QEMU's names; `raw` is any other content (ISOs too). */
export type ImageFormat = 'qcow2' | 'vmdk' | 'vdi' | 'vhdx' | 'vpc' | 'raw';
export type Compression = 'gzip' | 'xz' | 'zstd';

/** Properties of an image. */
export type ProbedImage =
  | { readonly compression: Compression }
  | {
      readonly compression?: undefined;
      readonly format: ImageFormat;
      /** Undefined when its length or its tables cannot be known from here. */
      readonly virtualSizeBytes: number | undefined;
      readonly kind: RawKind;
      /** A file system or other volume that begins without a partition table, such as `an XFS file system`. */
      readonly volume?: string | undefined;
    };

/** Enough for every header, the descriptor of a VMDK, and that of a CD at 32 KiB. */
export const HEAD_BYTES = 64 * 1024;

const COMPRESSIONS: readonly { readonly hex: string; readonly compression: Compression }[] = [
  { hex: '1f8b', compression: 'gzip' },
  { hex: 'fd377a585a00', compression: 'xz' },
  { hex: '28b52ffd', compression: 'zstd' },
];

const FORMATS: readonly { offset: number; hex: string; format: Exclude<ImageFormat, 'raw'> }[] = [
  { offset: 0, hex: '514649fb', format: 'qcow2' },
  { offset: 0, hex: '4b444d56', format: 'vmdk' },
  { offset: 0x40, hex: '7f10dabe', format: 'vdi' },
  { offset: 0, hex: '7668647866696c65', format: 'vhdx' },
  { offset: 0, hex: '636f6e6563746978', format: 'vpc' },
];

const CHECKS: Readonly<Record<Exclude<ImageFormat, 'raw'>, (bytes: ImageBytes, head: Buffer) => Promise<number>>> = {
  qcow2: checkQcow2,
  vmdk: checkVmdk,
  vdi: checkVdi,
  vhdx: checkVhdx,
  vpc: checkVhd,
};

/** How a file is compressed, by its first bytes and never by its name. */
export function compressionOf(head: Buffer): Compression | undefined {
  return COMPRESSIONS.find(({ hex }) => head.toString('hex', 0, hex.length / 2) === hex)?.compression;
}

/**
 * Determines the format of an image, and checks that it is complete and needs no other file. Only a result that was
 * accepted here is ever shown to QEMU's tools. @throws ImageRefused
 */
export async function probeImage(bytes: ImageBytes): Promise<ProbedImage> {
  const head = await bytes.read(0, HEAD_BYTES);
  const foreign = foreignContent(head);
  if (foreign !== undefined) throw new ImageRefused(foreign);
  const compression = compressionOf(head);
  if (compression) return { compression };
  const { format } =
    FORMATS.find(({ offset, hex }) => head.toString('hex', offset, offset + hex.length / 2) === hex) ?? {};
  if (format === undefined) {
    return {
      format: 'raw',
      virtualSizeBytes: bytes.lengthBytes,
      kind: checkRaw(bytes, head),
      volume: bareVolume(head),
    };
  }
  const virtualSizeBytes = await CHECKS[format](bytes, head).catch((error) => {
    if (error instanceof BytesUnavailable) return undefined;
    throw error;
  });
  return { format, virtualSizeBytes, kind: 'disk' };
}
