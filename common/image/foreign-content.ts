/** Content that is often found in place of an image. */
interface Foreign {
  readonly offset?: number;
  /** Its first bytes in hexadecimal. */
  readonly hex: string;
  readonly what: string;
}

const ARCHIVE = 'an archive, not a disk image: unpack it, and give the image itself';
const QEMU_ONLY = 'which importers do not take: convert it with qemu-img';

const FOREIGN: readonly Foreign[] = [
  { hex: '504b0304', what: `a ZIP file, ${ARCHIVE}` },
  { hex: '504b0506', what: `an empty ZIP file, ${ARCHIVE}` },
  { hex: '377abcaf271c', what: `a 7z file, ${ARCHIVE}` },
  { hex: '526172211a07', what: `a RAR file, ${ARCHIVE}` },
  { offset: 257, hex: '7573746172', what: `a tar file (an OVA is one, too), ${ARCHIVE}` },
  { hex: '425a68', what: 'compressed with bzip2, which importers do not unpack: use gzip or xz' },
  { hex: '04224d18', what: 'compressed with lz4, which importers do not unpack: use gzip or xz' },
  { hex: '4d5357494d000000', what: 'a Windows image of files (WIM), not of a disk: install from an ISO' },
  { hex: '25504446', what: 'a PDF, not a disk image' },
  { hex: '7f454c46', what: 'a program (ELF), not a disk image' },
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
  const has = ({ offset = 0, hex }: Foreign) => head.toString('hex', offset, offset + hex.length / 2) === hex;
  return FOREIGN.find(has)?.what ?? foreignText(head);
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
