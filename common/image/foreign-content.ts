import { constants, gunzipSync } from 'node:zlib';
import { findMark, type Mark } from './marks.ts';

const ARCHIVE = 'an archive, not a disk image: unpack it, and give the image itself';
const A_TAR = `a tar file (an OVA is one, too), ${ARCHIVE}`;
const QEMU_ONLY = 'which importers do not take: convert it with qemu-img';

/** Content that is often found in place of an image. */
const FOREIGN: readonly Mark[] = [
  { hex: '504b0304', what: `a ZIP file, ${ARCHIVE}` },
  { hex: '504b0506', what: `an empty ZIP file, ${ARCHIVE}` },
  { hex: '377abcaf271c', what: `a 7z file, ${ARCHIVE}` },
  { hex: '526172211a07', what: `a RAR file, ${ARCHIVE}` },
  { offset: 257, hex: '7573746172', what: A_TAR },
  { hex: '425a68', what: 'compressed with bzip2, which importers do not unpack: use gzip or xz' },
  { hex: '4c5a4950', what: 'compressed with lzip, which importers do not unpack: use gzip or xz' },
  { hex: '5d0000', what: 'compressed with lzma, which importers do not unpack: use gzip or xz' },
  { hex: '04224d18', what: 'compressed with lz4, which importers do not unpack: use gzip or xz' },
  { hex: '4d5357494d000000', what: 'a Windows image of files (WIM), not of a disk: install from an ISO' },
  { hex: '25504446', what: 'a PDF, not a disk image' },
  { hex: '7f454c46', what: 'a program (ELF), not a disk image' },
  { offset: 514, hex: '48647253', what: 'a Linux kernel, not a disk image' },
  { hex: '3037303730', what: `a cpio archive, such as an initial RAM disk, ${ARCHIVE}` },
  { hex: '4d53434600000000', what: `a cabinet file of Windows, ${ARCHIVE}` },
  { hex: 'd0cf11e0a1b11ae1', what: 'an installer (MSI) or a document of Windows, not a disk image' },
  {
    hex: '68737173',
    what: 'a squashfs, the packed files of a live system, not of a disk: give an image, or the ISO that it is from',
  },
  { hex: '53514c69746520666f726d61742033', what: 'a database (SQLite), not a disk image' },
  { hex: '89504e470d0a1a0a', what: 'a picture (PNG), not a disk image' },
  { hex: 'ffd8ff', what: 'a picture (JPEG), not a disk image' },
  { hex: '47494638', what: 'a picture (GIF), not a disk image' },
  { offset: 4, hex: '66747970', what: 'a video (MP4), not a disk image' },
  { hex: '1a45dfa3', what: 'a video (Matroska), not a disk image' },
  { hex: '52494646', what: 'a picture, a sound or a video (RIFF), not a disk image' },
  { hex: '213c617263683e', what: 'a Debian package or library, not a disk image' },
  { hex: 'edabeedb', what: 'an RPM package, not a disk image' },
  { hex: '4c554b53babe', what: 'encrypted with LUKS: the machine could not unlock it while it starts' },
  { hex: '434f5744', what: `a VMDK of an ESX server (COWD), ${QEMU_ONLY}` },
  { hex: '51454400', what: `a QED image, ${QEMU_ONLY}` },
  { hex: '576974686f7574467265655370616365', what: `an image of Parallels, ${QEMU_ONLY}` },
  { hex: '576974686f7546726553706163457874', what: `an image of Parallels, ${QEMU_ONLY}` },
];

/** Texts by their beginning, after blanks and a byte order mark. */
const TEXTS: readonly (readonly [RegExp, string])[] = [
  [
    /^(<!--[\s\S]*?-->\s*)?<(!doctype html|html|head|body)\b/i,
    'an HTML page, not a disk image: the server may want a login, or have another name for the file',
  ],
  [
    /^(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)*<[\w:]*Envelope\b/i,
    'an OVF description, not a disk image: give the VMDK that it names',
  ],
  [/^<\?xml/i, 'an XML text, not a disk image: servers often answer errors in XML'],
  [
    /^version https:\/\/git-lfs\.github\.com\//,
    'a pointer of Git LFS, not the file that it stands for: give its download address',
  ],
  [
    /^([0-9a-f]{32,128} [ *]\S+|[A-Z0-9]+ ?\([^)\n]+\) ?= [0-9a-f]{32,128})\s/i,
    'a list of checksums, not a disk image: give the image that it names',
  ],
  [/^d\d+:[a-z][a-z -]*\d+:/, 'a torrent, not a disk image: give an http or https address of the image'],
  [/^[{[]/, 'a JSON text, not a disk image: servers often answer errors in JSON'],
];

/** Bytes that are looked at, and characters that are quoted. */
const MOST_TEXT = 4096;
const MOST_EXCERPT = 60;

/** Kind of a file that is not an image, by its beginning; undefined when it may be an image. */
export function foreignContent(head: Buffer): string | undefined {
  if (head.length === 0) return 'empty: the server sent no byte';
  const known = findMark(head, FOREIGN);
  if (known !== undefined) return known;
  if (isOldTar(head)) return A_TAR;
  if (isProgram(head)) return 'a program for Windows or UEFI, not a disk image';
  return foreignText(head) ?? insideGzip(head);
}

/** Before POSIX tar had no mark; each header has the sum of its bytes, with blanks in place of the sum. */
function isOldTar(head: Buffer): boolean {
  const header = head.subarray(0, 512);
  const written = /^ *([0-7]{1,7})[ \0]/.exec(header.toString('latin1', 148, 156))?.[1];
  if (written === undefined || header.length < 512) return false;
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  return sum === Number.parseInt(written, 8);
}

function isProgram(head: Buffer): boolean {
  if (head.length < 64 || head.toString('latin1', 0, 2) !== 'MZ') return false;
  const at = head.readUInt32LE(60);
  return head.toString('latin1', at, at + 4) === 'PE\0\0';
}

/** Enough for the first sector of what is packed, and at most 4 MiB of it. */
const GZIP_BYTES = 4096;

function insideGzip(head: Buffer): string | undefined {
  if (head.toString('hex', 0, 2) !== '1f8b') return undefined;
  try {
    const inside = gunzipSync(head.subarray(0, GZIP_BYTES), { finishFlush: constants.Z_SYNC_FLUSH });
    const what = inside.length === 0 ? undefined : foreignContent(inside.subarray(0, MOST_TEXT));
    return what === undefined ? undefined : `packed with gzip, and inside ${what}`;
  } catch {
    return undefined; // Its importer finds the fault.
  }
}

/** No disk begins with a sector that is text. */
function foreignText(head: Buffer): string | undefined {
  const start = head.subarray(0, 512);
  if (start.some((byte) => byte < 32 && ![9, 10, 12, 13, 27].includes(byte))) return undefined;
  const text = head
    .subarray(0, MOST_TEXT)
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .trimStart();
  if (isVmdkDescriptor(text)) return describeDescriptor(text);
  const [, what = 'a text, not a disk image'] = TEXTS.find(([pattern]) => pattern.test(text)) ?? [];
  return `${what} (${excerpt(text)})`;
}

function excerpt(text: string): string {
  const title = /<title[^>]*>\s*([^<]+)/i.exec(text)?.[1] ?? text;
  const line = title.replaceAll(/\s+/g, ' ').trim();
  return `it begins with ${JSON.stringify(line.length > MOST_EXCERPT ? `${line.slice(0, MOST_EXCERPT)}...` : line)}`;
}

function isVmdkDescriptor(text: string): boolean {
  return (
    /^(#[^\n]*\n\s*)*# ?disk descriptorfile/i.test(text) ||
    (/^version\s*=/im.test(text) && /^createType\s*=/im.test(text))
  );
}

/** The extents that a descriptor names are files on the machine of its author. */
function describeDescriptor(text: string): string {
  const named = [...text.matchAll(/^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+\w+\s+"([^"\n]*)"/gim)].map(([, name]) => name);
  const files =
    named.length > 0
      ? ` (${named
          .slice(0, 3)
          .map((name) => JSON.stringify(name))
          .join(', ')})`
      : '';
  return `the descriptor of a VMDK, a text that names other files${files} and holds no data: give a VMDK of one file (monolithicSparse or streamOptimized)`;
}
