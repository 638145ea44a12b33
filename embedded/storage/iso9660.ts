/** Logical sectors of a disc (ECMA-119). */
const SECTOR = 2048;
/** The first 16 sectors are for the system that boots from the disc. */
const FIRST_DESCRIPTOR = 16;
/** Primary, Joliet, terminator. */
const PATH_TABLES_AT = FIRST_DESCRIPTOR + 3;
/** Empty sectors at the end, as mkisofs leaves them: busybox looks for a label only where it can read 68 KiB. */
const PADDING = 150;

/** Content by path; folders are the parts of the path before its last name. */
export type DiscFiles = ReadonlyMap<string, Buffer | string>;

/** A folder of the disc. */
interface Folder {
  readonly name: string;
  readonly parent: Folder | undefined;
  readonly folders: Folder[];
  readonly files: { readonly name: string; readonly content: Buffer; readonly sector: number }[];
}

/** One of the two trees of a disc: names of ISO 9660, or of Joliet (UCS-2). */
interface Tree {
  readonly encode: (name: string, isFile: boolean) => Buffer;
  readonly sectorOf: ReadonlyMap<Folder, number>;
  readonly tableAt: { readonly little: number; readonly big: number };
}

/**
 * The image of a disc with ISO 9660 and Joliet names, as Linux and Windows read them. Written here because a tool takes
 * a tenth of a second for it, which is most of a machine's start. No dates: the same files are the same image.
 */
export function isoImage(label: string, files: DiscFiles): Buffer {
  const root = readTree(files);
  const folders = allFolders(root);
  const tableSectors = sectors(folders.reduce((sum, folder) => sum + 10 + 2 * folder.name.length, 0));
  const names = new Map<Folder, number>();
  const joliet = new Map<Folder, number>();
  let next = PATH_TABLES_AT + 4 * tableSectors;
  const trees: readonly Tree[] = [
    { encode: plainName, sectorOf: names, tableAt: { little: PATH_TABLES_AT, big: PATH_TABLES_AT + tableSectors } },
    {
      encode: jolietName,
      sectorOf: joliet,
      tableAt: { little: PATH_TABLES_AT + 2 * tableSectors, big: PATH_TABLES_AT + 3 * tableSectors },
    },
  ];
  for (const { sectorOf, encode } of trees) {
    for (const folder of folders) {
      (sectorOf as Map<Folder, number>).set(folder, next);
      next += sectors(folderLength(folder, encode));
    }
  }
  const contentAt = next;
  const contents = folders.flatMap((folder) => folder.files);
  const length = contentAt + contents.reduce((sum, { content }) => sum + sectors(content.length), PADDING);
  const image = Buffer.alloc(length * SECTOR);
  for (const [index, tree] of trees.entries()) {
    writeDescriptor(image, { tree, root, label, length, folders, isJoliet: index === 1 });
    writePathTables(image, tree, folders);
    for (const folder of folders) writeFolder(image, { tree, folder, contentAt });
  }
  image.write('\xffCD001\x01', (FIRST_DESCRIPTOR + 2) * SECTOR, 'latin1');
  for (const { content, sector } of contents) content.copy(image, (contentAt + sector) * SECTOR);
  return image;
}

function sectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR);
}

function readTree(files: DiscFiles): Folder {
  const root: Folder = { name: '\0', parent: undefined, folders: [], files: [] };
  let sector = 0;
  for (const [path, value] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const parts = path.split('/').filter((part) => part !== '');
    const name = parts.pop() ?? '';
    const content = Buffer.from(value);
    parts.reduce(folderIn, root).files.push({ name, content, sector });
    sector += sectors(content.length);
  }
  return root;
}

function folderIn(parent: Folder, name: string): Folder {
  const known = parent.folders.find((folder) => folder.name === name);
  if (known) return known;
  const folder: Folder = { name, parent, folders: [], files: [] };
  parent.folders.push(folder);
  return folder;
}

/** Breadth first, as path tables are ordered. */
function allFolders(root: Folder): Folder[] {
  const list = [root];
  for (let index = 0; index < list.length; index++) list.push(...(list[index]?.folders ?? []));
  return list;
}

/** Longer than level 1 and in the case that they have: all current readers accept them. */
function plainName(name: string, isFile: boolean): Buffer {
  if (name === '\0' || name === '\x01') return Buffer.from(name, 'latin1');
  return Buffer.from(isFile ? `${name.slice(0, 100)};1` : name.slice(0, 100), 'latin1');
}

function jolietName(name: string, isFile: boolean): Buffer {
  if (name === '\0' || name === '\x01') return Buffer.from(name, 'latin1');
  return Buffer.from(isFile ? `${name.slice(0, 62)};1` : name.slice(0, 64), 'utf16le').swap16();
}

function recordLength(name: Buffer): number {
  return 33 + name.length + (name.length % 2 === 0 ? 1 : 0);
}

/** Entries in order, the folder itself and its parent first. */
function entriesOf(
  folder: Folder,
): { readonly name: string; readonly folder?: Folder; readonly file?: Folder['files'][number] }[] {
  const own = [
    ...folder.folders.map((child) => ({ name: child.name, folder: child })),
    ...folder.files.map((file) => ({ name: file.name, file })),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
  return [{ name: '\0', folder }, { name: '\x01', folder: folder.parent ?? folder }, ...own];
}

/** Records do not cross sectors. */
function folderLength(folder: Folder, encode: Tree['encode']): number {
  return entriesOf(folder).reduce(
    (at, { name, file }) => place(at, recordLength(encode(name, file !== undefined))).end,
    0,
  );
}

function place(at: number, length: number): { readonly start: number; readonly end: number } {
  const left = SECTOR - (at % SECTOR);
  const start = left < length ? at + left : at;
  return { start, end: start + length };
}

/** Numbers are in both byte orders. */
function both32(image: Buffer, value: number, at: number): void {
  image.writeUInt32LE(value, at);
  image.writeUInt32BE(value, at + 4);
}

function both16(image: Buffer, value: number, at: number): void {
  image.writeUInt16LE(value, at);
  image.writeUInt16BE(value, at + 2);
}

interface Extent {
  readonly sector: number;
  readonly length: number;
  readonly isFolder: boolean;
}

function writeRecord(image: Buffer, at: number, { name, sector, length, isFolder }: Extent & { name: Buffer }): void {
  image[at] = recordLength(name);
  both32(image, sector, at + 2);
  both32(image, length, at + 10);
  image.set([100, 1, 1, 0, 0, 0, 0], at + 18); // 1 January 2000; a date of zeros is none.
  image[at + 25] = isFolder ? 2 : 0;
  both16(image, 1, at + 28);
  image[at + 32] = name.length;
  name.copy(image, at + 33);
}

function folderExtent({ sectorOf, encode }: Tree, folder: Folder): Extent {
  return { sector: sectorOf.get(folder) ?? 0, length: sectors(folderLength(folder, encode)) * SECTOR, isFolder: true };
}

function writeFolder(
  image: Buffer,
  { tree, folder, contentAt }: { readonly tree: Tree; readonly folder: Folder; readonly contentAt: number },
): void {
  const base = (tree.sectorOf.get(folder) ?? 0) * SECTOR;
  let at = 0;
  for (const entry of entriesOf(folder)) {
    const name = tree.encode(entry.name, entry.file !== undefined);
    const { start, end } = place(at, recordLength(name));
    const extent = entry.file
      ? { sector: contentAt + entry.file.sector, length: entry.file.content.length, isFolder: false }
      : folderExtent(tree, entry.folder ?? folder);
    writeRecord(image, base + start, { name, ...extent });
    at = end;
  }
}

function writePathTables(image: Buffer, { encode, sectorOf, tableAt }: Tree, folders: readonly Folder[]): number {
  let at = 0;
  for (const folder of folders) {
    const name = encode(folder.name, false);
    const parent = folders.indexOf(folder.parent ?? folder) + 1;
    for (const order of ['little', 'big'] as const) {
      const base = tableAt[order] * SECTOR + at;
      image[base] = name.length;
      const sector = sectorOf.get(folder) ?? 0;
      if (order === 'little') image.writeUInt32LE(sector, base + 2);
      else image.writeUInt32BE(sector, base + 2);
      if (order === 'little') image.writeUInt16LE(parent, base + 6);
      else image.writeUInt16BE(parent, base + 6);
      name.copy(image, base + 8);
    }
    at += 8 + name.length + (name.length % 2);
  }
  return at;
}

interface DescriptorOptions {
  readonly tree: Tree;
  readonly root: Folder;
  readonly label: string;
  readonly length: number;
  readonly folders: readonly Folder[];
  readonly isJoliet: boolean;
}

function writeDescriptor(image: Buffer, { tree, root, label, length, folders, isJoliet }: DescriptorOptions): void {
  const at = (FIRST_DESCRIPTOR + (isJoliet ? 1 : 0)) * SECTOR;
  image.write(`${isJoliet ? '\x02' : '\x01'}CD001\x01`, at, 'latin1');
  const text = (value: string, offset: number, size: number) => {
    // In Joliet, zeros: small readers take padding by spaces for a part of the label.
    const padded = isJoliet ? value.slice(0, size / 2).padEnd(size / 2, '\0') : value.slice(0, size).padEnd(size);
    (isJoliet ? Buffer.from(padded, 'utf16le').swap16() : Buffer.from(padded, 'latin1')).copy(image, at + offset);
  };
  text('', 8, 32);
  text(label, 40, 32);
  both32(image, length, at + 80);
  if (isJoliet) image.write('%/E', at + 88, 'latin1'); // UCS-2 level 3
  both16(image, 1, at + 120);
  both16(image, 1, at + 124);
  both16(image, SECTOR, at + 128);
  both32(image, writePathTables(image, tree, folders), at + 132);
  image.writeUInt32LE(tree.tableAt.little, at + 140);
  image.writeUInt32BE(tree.tableAt.big, at + 148);
  writeRecord(image, at + 156, { name: Buffer.of(0), ...folderExtent(tree, root) });
  for (const [offset, size] of [
    [190, 128],
    [318, 128],
    [446, 128],
    [574, 128],
    [702, 37],
    [739, 37],
    [776, 37],
  ] as const) {
    // 37 is odd: Joliet leaves the last byte of the file names zero.
    text('', offset, isJoliet ? size - (size % 2) : size);
  }
  for (const offset of [813, 830, 847, 864]) image.write('0000000000000000', at + offset, 'latin1');
  image[at + 881] = 1;
}
