import { type ImageBytes, ImageRefused } from './image-bytes.ts';

const SECTOR = 512;
/** QEMU reads this much of a descriptor, from here on, and ignores the header's value. */
const DESCRIPTOR_AT = 512;
const MOST_DESCRIPTOR = 64 * 1024;
const GRAIN_DIRECTORY_AT_END = 0xffff_ffff_ffff_ffffn;
/** Limit for the largest disks, with tables of 32 MiB each; QEMU would read sixteen times as many. */
const MOST_TABLES = 2 ** 21;
/** QEMU's own bound. */
const MOST_GRAINS = 512;
/** Tables that are looked through; the last ones first. */
const MOST_LOOKS = 4096;
const KINDS = ['monolithicSparse', 'streamOptimized'];

/**
 * The virtual size of a VMDK that is one file (VMware's "Virtual Disk Format 5.0": hosted sparse extents). QEMU opens
 * what a descriptor names, of which an image can carry one inside: it may name nothing but its own single extent, and
 * no parent. Without a capacity QEMU takes the descriptor for the image.
 * @throws ImageRefused
 */
export async function checkVmdk(bytes: ImageBytes, head: Buffer): Promise<number> {
  const refuse = (why: string): never => {
    throw new ImageRefused(`a VMDK ${why}`);
  };
  if (head.length < 2 * SECTOR) refuse(`of ${head.length} bytes: its header is not whole`);
  const version = head.readUInt32LE(4);
  const capacity = head.readBigUInt64LE(12);
  if (version < 1 || version > 3) refuse(`of the unknown version ${version}`);
  if (capacity === 0n || capacity > 1n << 43n) refuse(`with a capacity of ${capacity} sectors`);
  const [offset, size] = [head.readBigUInt64LE(28), head.readBigUInt64LE(36)];
  if (size * BigInt(SECTOR) > MOST_DESCRIPTOR || offset > 1n << 31n) refuse('whose descriptor is out of bounds');
  const where = Number(offset) * SECTOR;
  const descriptors = [head.subarray(DESCRIPTOR_AT, MOST_DESCRIPTOR)];
  if (size > 0n) descriptors.push(await bytes.read(where, Number(size) * SECTOR));
  for (const descriptor of descriptors) checkDescriptor(textOf(descriptor), refuse);
  await checkWhole(bytes, head);
  return Number(capacity) * SECTOR;
}

/** A descriptor ends with its first zero byte. */
function textOf(descriptor: Buffer): string {
  const end = descriptor.indexOf(0);
  return descriptor.toString('latin1', 0, end === -1 ? descriptor.length : end);
}

function checkDescriptor(text: string, refuse: (why: string) => never): void {
  if (/parentFileNameHint/i.test(text)) refuse('that needs its parent: merge the two with qemu-img convert first');
  const [, parent] = /^\s*parentCID\s*=\s*(\w+)/im.exec(text) ?? [];
  if (parent !== undefined && !/^f{8}$/i.test(parent)) refuse(`that needs its parent ${parent}: merge the two first`);
  const [, kind] = /^\s*createType\s*=\s*"([^"\n]*)"/im.exec(text) ?? [];
  if (kind !== undefined && !KINDS.includes(kind))
    refuse(`of the kind ${JSON.stringify(kind)}: give ${KINDS.join(' or ')}`);
  // QEMU skips every kind of white space.
  const extents = text.match(/^[ \t\v\f]*(?:RW|RDONLY|NOACCESS)\b[^\n]*/gim) ?? [];
  const other = extents.find((line) => !/^\s*RW\s+\d+\s+SPARSE\s+"[^"\n/\\]*"\s*$/i.test(line));
  if (other !== undefined) refuse(`that names another file: ${JSON.stringify(other.trim().slice(0, 100))}`);
  if (extents.length > 1) refuse(`of ${extents.length} files: give one of a single file`);
}

/** Streamed images may end with a copy of their header, which locates the tables. */
async function checkWhole(bytes: ImageBytes, head: Buffer): Promise<void> {
  const { lengthBytes } = bytes;
  if (lengthBytes === undefined) return;
  const cut = (why: string): never => {
    throw new ImageRefused(`a VMDK that was cut off: it has ${lengthBytes} bytes, ${why}`);
  };
  const reach = (sector: number) => {
    if (sector * SECTOR >= lengthBytes) cut(`its tables name byte ${sector * SECTOR}`);
  };
  let header = head;
  if (head.readBigUInt64LE(56) === GRAIN_DIRECTORY_AT_END) {
    // Footer, then the marker of the end.
    header = await bytes.read(Math.max(0, lengthBytes - 2 * SECTOR), SECTOR);
    if (header.length < SECTOR || header.toString('latin1', 0, 4) !== 'KDMV') return cut('and no footer');
  }
  const directory = Number(header.readBigUInt64LE(56));
  const perTable = header.readUInt32LE(44) * Number(header.readBigUInt64LE(20));
  const tables = Math.ceil(Number(header.readBigUInt64LE(12)) / perTable);
  if (!(tables <= MOST_TABLES) || header.readUInt32LE(44) > MOST_GRAINS) {
    throw new ImageRefused('a VMDK whose header is broken: its tables do not fit its capacity');
  }
  reach(directory);
  const offsets = numbersIn(await bytes.read(directory * SECTOR, tables * 4));
  for (const table of offsets) reach(table);
  for (const table of offsets.sort().subarray(-MOST_LOOKS).reverse()) {
    const grains = await bytes.read(table * SECTOR, header.readUInt32LE(44) * 4);
    for (const grain of numbersIn(grains)) reach(grain);
  }
}

/** Sectors that a table names; 0 and 1 mean never written. */
function numbersIn(table: Buffer): Uint32Array {
  const numbers = new Uint32Array(Math.floor(table.length / 4));
  for (let index = 0; index < numbers.length; index++) numbers[index] = table.readUInt32LE(4 * index);
  return numbers.filter((sector) => sector > 1);
}
