import { readValidator } from '../../../common/contracts/source-validator.ts';
import { fetchSource, type SourceRequest } from '../../../common/fetch/fetch-source.ts';

/** Enough for the header of every format that is known here. */
const HEADER_BYTES = 1024;

const COMPRESSED = ['1f8b', 'fd377a585a00', '28b52ffd', '425a68', '504b0304', '377abcaf271c'];

/**
 * The virtual size of an image in bytes, from its first bytes and its length (a ranged request). Undefined when the
 * worker cannot reach it or cannot tell, as with compressed images: the importer sees for itself.
 */
export async function imageSize(
  url: string,
  request: Pick<SourceRequest, 'agent' | 'signal'>,
): Promise<number | undefined> {
  try {
    const headers = { range: `bytes=0-${HEADER_BYTES - 1}` };
    const response = await fetchSource(url, { ...request, headers });
    const parts: Uint8Array[] = [];
    let received = 0;
    for await (const chunk of response.body ?? []) {
      parts.push(chunk);
      received += chunk.byteLength;
      // A server that knows no ranges sends everything.
      if (received >= HEADER_BYTES) break;
    }
    const { headers: said, status } = response;
    const isWhole = status === 200 || said.has('content-range');
    const { lengthBytes } = readValidator(said);
    return virtualSize(Buffer.concat(parts), (isWhole ? lengthBytes : null) ?? undefined);
  } catch {
    request.signal?.throwIfAborted();
    return undefined;
  }
}

/** What a header says; raw images (and ISOs) are as long as they are. */
export function virtualSize(header: Buffer, lengthBytes: number | undefined): number | undefined {
  if (header.length < 16) return undefined;
  // QEMU docs/interop/qcow2.txt: magic, version, backing file, cluster bits, then the size.
  if (header.toString('latin1', 0, 4) === 'QFI\xfb') return sizeAt(header, 24, 'big');
  // VMDK 5.0 specification: hosted sparse extent, capacity in sectors.
  if (header.toString('latin1', 0, 4) === 'KDMV') return times(sizeAt(header, 12, 'little'), 512);
  // VirtualBox VDICore.h: signature, then the disk size of a version 1 header.
  if (header.length >= 0x178 && header.readUInt32LE(0x40) === 0xbeda107f) return sizeAt(header, 0x170, 'little');
  if (/^(vhdxfile|conectix)/.test(header.toString('latin1', 0, 8))) return undefined;
  const start = header.toString('hex', 0, 8);
  return COMPRESSED.some((magic) => start.startsWith(magic)) ? undefined : lengthBytes;
}

function sizeAt(header: Buffer, offset: number, order: 'big' | 'little'): number | undefined {
  if (header.length < offset + 8) return undefined;
  const size = order === 'big' ? header.readBigUInt64BE(offset) : header.readBigUInt64LE(offset);
  return size > 0n && size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : undefined;
}

function times(sectors: number | undefined, bytes: number): number | undefined {
  return sectors === undefined ? undefined : sectors * bytes;
}
