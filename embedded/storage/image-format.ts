import { open } from 'node:fs/promises';

/** Formats that an import understands; `raw` is what nothing else claims (an ISO image too). */
export type ImageFormat = 'qcow2' | 'vmdk' | 'vdi' | 'vhdx' | 'vpc' | 'raw';
export type Compression = 'gzip' | 'xz' | 'zstd';

const SIGNATURES: readonly { readonly offset: number; readonly hex: string; readonly format: ImageFormat }[] = [
  { offset: 0, hex: '514649fb', format: 'qcow2' },
  { offset: 0, hex: '4b444d56', format: 'vmdk' },
  { offset: 0x40, hex: '7f10dabe', format: 'vdi' },
  { offset: 0, hex: '7668647866696c65', format: 'vhdx' },
  { offset: 0, hex: '636f6e6563746978', format: 'vpc' },
];

const COMPRESSIONS: readonly { readonly hex: string; readonly compression: Compression }[] = [
  { hex: '1f8b', compression: 'gzip' },
  { hex: 'fd377a585a00', compression: 'xz' },
  { hex: '28b52ffd', compression: 'zstd' },
];

/** Recognises a file by its first bytes, never by its name. */
export async function detectImage(path: string): Promise<{ format: ImageFormat; compression?: Compression }> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(128);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return recognise(head.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

/** As `detectImage`, for bytes. */
export function recognise(head: Buffer): { format: ImageFormat; compression?: Compression } {
  const has = (offset: number, hex: string) => head.toString('hex', offset, offset + hex.length / 2) === hex;
  const compressed = COMPRESSIONS.find(({ hex }) => has(0, hex));
  if (compressed) return { format: 'raw', compression: compressed.compression };
  return { format: SIGNATURES.find(({ offset, hex }) => has(offset, hex))?.format ?? 'raw' };
}
