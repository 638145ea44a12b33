import { BytesUnavailable, type ImageBytes, ImageRefused } from './image-bytes.ts';

/** QEMU's docs/interop/qcow2.txt: all numbers are big-endian. */
export const QCOW2_MAGIC = 0x514649fb;

/** Header of a qcow2 file; the names of other files are read by the callers that need them. */
export interface Qcow2Header {
  readonly version: number;
  readonly virtualSizeBytes: number;
  readonly clusterBits: number;
  readonly backingFile: { readonly offset: number; readonly length: number } | undefined;
  readonly hasExternalData: boolean;
  readonly encryption: number;
  readonly l1: { readonly offset: number; readonly entries: number };
  readonly refcounts: { readonly offset: number; readonly clusters: number };
}

const LEAST_HEADER = 72;
/** The longest name of a backing file that the format allows. */
export const MOST_BACKING_NAME = 1023;
/** QEMU's own bounds. */
const MOST_L1_BYTES = 32 * 1024 ** 2;
const MOST_REFCOUNT_BYTES = 8 * 1024 ** 2;
const MOST_SNAPSHOTS = 65_536;

/** Incompatible features: unclean, corrupt, external data, compression type, extended L2. */
const CORRUPT = 1n << 1n;
const EXTERNAL_DATA = 1n << 2n;
const KNOWN_FEATURES = 0b11111n;
const EXTENDED_L2 = 1n << 4n;

const WORD = 2 ** 32;
/** Of the upper half of an entry. */
const COMPRESSED = 1 << 30;
/** Of a first-level table, read at once: the process serves everything else in between. */
const PORTION_BYTES = 1024 ** 2;
/** Second-level tables that are looked through, at most; the last ones first. */
const MOST_TABLE_BYTES = 16 * 1024 ** 2;

/** Reads the header; undefined when the bytes are not a qcow2 file. The values are not checked: `checkQcow2` does that. */
export function parseQcow2Header(head: Buffer): Qcow2Header | undefined {
  if (head.length < LEAST_HEADER || head.readUInt32BE(0) !== QCOW2_MAGIC) return undefined;
  const version = head.readUInt32BE(4);
  const backingOffset = Number(head.readBigUInt64BE(8));
  const features = version >= 3 && head.length >= 80 ? head.readBigUInt64BE(72) : 0n;
  return {
    version,
    virtualSizeBytes: Number(head.readBigUInt64BE(24)),
    clusterBits: head.readUInt32BE(20),
    backingFile: backingOffset === 0 ? undefined : { offset: backingOffset, length: head.readUInt32BE(16) },
    hasExternalData: (features & EXTERNAL_DATA) !== 0n,
    encryption: head.readUInt32BE(32),
    l1: { offset: Number(head.readBigUInt64BE(40)), entries: head.readUInt32BE(36) },
    refcounts: { offset: Number(head.readBigUInt64BE(48)), clusters: head.readUInt32BE(56) },
  };
}

/** The virtual size of a qcow2 file that is self-contained and complete. @throws ImageRefused */
export async function checkQcow2(bytes: ImageBytes, head: Buffer): Promise<number> {
  const header = parseQcow2Header(head);
  if (!header) throw new ImageRefused('a qcow2 image without a whole header');
  checkHeader(header, head);
  await checkTables(bytes, header, head);
  return header.virtualSizeBytes;
}

function checkHeader(header: Qcow2Header, head: Buffer): void {
  const { version, clusterBits, virtualSizeBytes, l1, refcounts } = header;
  const refuse = (why: string): never => {
    throw new ImageRefused(`a qcow2 image ${why}`);
  };
  if (version !== 2 && version !== 3) refuse(`of version ${version}: convert it with qemu-img to version 3`);
  if (clusterBits < 9 || clusterBits > 21) refuse(`whose header is broken: clusters of 2^${clusterBits} bytes`);
  if (header.encryption === 1 || header.encryption === 2) {
    refuse(`that is encrypted (${header.encryption === 2 ? 'LUKS' : 'AES'}): decrypt it with qemu-img convert first`);
  }
  if (header.encryption !== 0) refuse(`that is encrypted by an unknown method (${header.encryption})`);
  if (header.backingFile) {
    const name = backingName(header.backingFile, head);
    refuse(`that needs its backing file${name}: merge the two with qemu-img convert first`);
  }
  if (header.hasExternalData) refuse('whose data lie in another file: merge the two with qemu-img convert first');
  if (version === 3) checkVersion3(head, clusterBits, refuse);
  if (virtualSizeBytes === 0 || virtualSizeBytes > Number.MAX_SAFE_INTEGER) refuse(`of ${virtualSizeBytes} bytes`);
  const clusterBytes = 2 ** clusterBits;
  const perEntry = (clusterBytes / entryBytes(head)) * clusterBytes;
  const isTooSmall = l1.entries * perEntry < virtualSizeBytes;
  if (l1.entries * 8 > MOST_L1_BYTES || isTooSmall || l1.offset % clusterBytes !== 0 || l1.offset === 0) {
    refuse('whose header is broken: its first-level table does not fit its size');
  }
  if (refcounts.clusters * clusterBytes > MOST_REFCOUNT_BYTES || refcounts.offset % clusterBytes !== 0) {
    refuse('whose header is broken: its table of reference counts is out of bounds');
  }
  if (head.readUInt32BE(60) > MOST_SNAPSHOTS) refuse('whose header is broken: too many snapshots');
}

function checkVersion3(head: Buffer, clusterBits: number, refuse: (why: string) => never): void {
  if (head.length < 104) refuse('without a whole header');
  const features = head.readBigUInt64BE(72);
  const headerLength = head.readUInt32BE(100);
  if ((features & CORRUPT) !== 0n) refuse('that is marked as corrupt: repair it with qemu-img check -r');
  if ((features & ~KNOWN_FEATURES) !== 0n) refuse(`with unknown features (0x${features.toString(16)})`);
  if (head.readUInt32BE(96) > 6) refuse('whose header is broken: reference counts of more than 64 bits');
  if (headerLength < 104 || headerLength % 8 !== 0 || headerLength > 2 ** clusterBits) {
    refuse(`whose header is broken: its length field is ${headerLength}`);
  }
}

/** Quoted where it is in the first bytes, as it does wherever QEMU wrote it. */
function backingName({ offset, length }: { offset: number; length: number }, head: Buffer): string {
  if (length > MOST_BACKING_NAME || offset + length > head.length) return '';
  return ` ${JSON.stringify(head.toString('utf8', offset, offset + length))}`;
}

/** All clusters that the tables reference must exist: truncated ones begin behind the end. */
async function checkTables(
  bytes: ImageBytes,
  { l1, refcounts, clusterBits }: Qcow2Header,
  head: Buffer,
): Promise<void> {
  const { lengthBytes } = bytes;
  if (lengthBytes === undefined) return;
  const clusterBytes = 2 ** clusterBits;
  const reach = (offset: number) => {
    if (offset < lengthBytes) return;
    throw new ImageRefused(
      `a qcow2 image that was cut off: it has ${lengthBytes} bytes, its tables name byte ${offset}`,
    );
  };
  reach(l1.offset + l1.entries * 8 - 1);
  reach(refcounts.offset);
  try {
    const most = Math.max(1, Math.floor(MOST_TABLE_BYTES / clusterBytes));
    for (const offset of await lastTables(bytes, { l1, reach, most })) {
      const table = await bytes.read(offset, clusterBytes);
      for (const cluster of offsetsIn(table, entryBytes(head), (high, low) => clusterAt(high, low, clusterBits))) {
        reach(cluster);
      }
    }
  } catch (error) {
    if (!(error instanceof BytesUnavailable)) throw error;
  }
}

interface FirstLevel extends Pick<Qcow2Header, 'l1'> {
  /** Throws for offsets behind the end. */
  reach(offset: number): void;
  /** Tables to read. */
  readonly most: number;
}

/** Where the last second-level tables begin, from the end, where truncation shows first. */
async function lastTables(bytes: ImageBytes, { l1, reach, most }: FirstLevel): Promise<Float64Array> {
  let last = new Float64Array();
  for (let at = 0; at < l1.entries * 8; at += PORTION_BYTES) {
    const portion = await bytes.read(l1.offset + at, Math.min(PORTION_BYTES, l1.entries * 8 - at));
    const least = last.length < most ? 0 : (last[0] ?? 0);
    const later = offsetsIn(portion, 8, standardOffset).filter((offset) => offset > least);
    const all = new Float64Array(last.length + later.length);
    all.set(last);
    all.set(later, last.length);
    last = all.sort().slice(-most);
    reach(last.at(-1) ?? 0);
  }
  return last.reverse();
}

/** Offset in a table entry; 0 means never written. Plain numbers: tables are long, and offsets below 2^56. */
function offsetsIn(table: Buffer, bytesPerEntry: number, offsetOf: (high: number, low: number) => number) {
  const offsets = new Float64Array(Math.floor(table.length / bytesPerEntry));
  for (let index = 0; index < offsets.length; index += 1) {
    const at = index * bytesPerEntry;
    offsets[index] = offsetOf(table.readUInt32BE(at), table.readUInt32BE(at + 4));
  }
  return offsets;
}

function standardOffset(high: number, low: number): number {
  return (high & 0x00ff_ffff) * WORD + ((low & 0xffff_fe00) >>> 0);
}

/** Of a compressed cluster the offset has 70 - `clusterBits` bits, and its length is above. */
function clusterAt(high: number, low: number, clusterBits: number): number {
  if ((high & COMPRESSED) === 0) return standardOffset(high, low);
  return (high & ((1 << (70 - clusterBits - 32)) - 1)) * WORD + low;
}

/** Of a second-level table; extended ones have a bitmap beside each offset. */
function entryBytes(head: Buffer): number {
  const isExtended = head.readUInt32BE(4) === 3 && (head.readBigUInt64BE(72) & EXTENDED_L2) !== 0n;
  return isExtended ? 16 : 8;
}
