import { type ImageBytes, ImageRefused } from './image-bytes.ts';

/** Microsoft's MS-VHDX: all numbers are little-endian. */
const REGIONS_AT = [192 * 1024, 256 * 1024];
const REGIONS_BYTES = 64 * 1024;
const METADATA_BYTES = 64 * 1024;
const MOST_ENTRIES = 2047;
const HAS_PARENT = 2;
const MOST_BYTES = 64 * 1024 ** 4;

const METADATA = guid('8b7ca206-4790-4b9a-b8fe-575f050f886e');
const FILE_PARAMETERS = guid('caa16737-fa36-4d43-b3b6-33f0aa44e76b');
const DISK_SIZE = guid('2fa54224-cd1b-4876-b211-5dbed83bf4b8');
const PARENT_LOCATOR = guid('a8d35f2d-b30b-454d-abf7-d3d84834ab0c');

/** The virtual size of a VHDX that is self-contained. @throws ImageRefused */
export async function checkVhdx(bytes: ImageBytes): Promise<number> {
  const metadata = await metadataOf(bytes);
  if (!metadata) throw new ImageRefused('a VHDX whose header is broken or cut off: it has no metadata');
  const { items, read } = metadata;
  const parameters = await read(items.get(FILE_PARAMETERS), 8);
  if (items.has(PARENT_LOCATOR) || (parameters.length === 8 && (parameters.readUInt32LE(4) & HAS_PARENT) !== 0)) {
    throw new ImageRefused('a VHDX that needs its parent (differencing): merge the two first');
  }
  const size = await read(items.get(DISK_SIZE), 8);
  const virtualSizeBytes = size.length === 8 ? Number(size.readBigUInt64LE(0)) : 0;
  if (virtualSizeBytes > 0 && virtualSizeBytes <= MOST_BYTES) return virtualSizeBytes;
  throw new ImageRefused('a VHDX whose header is broken: it has no size');
}

async function metadataOf(bytes: ImageBytes) {
  for (const at of REGIONS_AT) {
    const regions = await bytes.read(at, REGIONS_BYTES);
    if (regions.toString('latin1', 0, 4) !== 'regi') continue;
    const region = entriesOf(regions, { count: regions.readUInt32LE(8), first: 16 }).get(METADATA);
    if (region === undefined) continue;
    const start = Number(regions.readBigUInt64LE(region + 16));
    const table = await bytes.read(start, METADATA_BYTES);
    if (table.toString('latin1', 0, 8) !== 'metadata') continue;
    const items = entriesOf(table, { count: table.readUInt16LE(10), first: 32 });
    const read = async (entry: number | undefined, length: number) =>
      entry === undefined ? Buffer.alloc(0) : bytes.read(start + table.readUInt32LE(entry + 16), length);
    return { items, read };
  }
  return undefined;
}

/** Where in a table the entry of each GUID begins; entries have 32 bytes. */
function entriesOf(table: Buffer, { count, first }: { count: number; first: number }): Map<string, number> {
  const entries = new Map<string, number>();
  for (let index = 0; index < Math.min(count, MOST_ENTRIES); index++) {
    const at = first + 32 * index;
    if (at + 32 > table.length) break;
    entries.set(table.toString('hex', at, at + 16), at);
  }
  return entries;
}

/** A GUID as it is in a file: its first three groups are little-endian. */
function guid(text: string): string {
  const [a = '', b = '', c = '', ...rest] = text.split('-');
  const swapped = [a, b, c].map((group) => Buffer.from(group, 'hex').reverse().toString('hex'));
  return [...swapped, ...rest].join('');
}
