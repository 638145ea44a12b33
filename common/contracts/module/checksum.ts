import type { Checksum } from './contents.ts';
import { type Parsed, quoted } from './parsed.ts';

const HEX_LENGTH: Readonly<Record<Checksum['algorithm'], number>> = { md5: 32, sha1: 40, sha256: 64, sha512: 128 };
const ALGORITHMS = Object.keys(HEX_LENGTH) as Checksum['algorithm'][];

/** Reads `sha256:<hex>` (also md5, sha1, sha512), or bare hexadecimal digits whose length determines the algorithm. */
export function parseChecksum(written: unknown): Parsed<Checksum> {
  const text = String(written);
  const [, named, hex = ''] = /^(?:([a-z0-9]+):)?([0-9a-fA-F]*)$/.exec(text.toLowerCase()) ?? [];
  const algorithm = ALGORITHMS.find((name) => (named ? name === named : HEX_LENGTH[name] === hex.length));
  if (algorithm && HEX_LENGTH[algorithm] === hex.length) return { value: { algorithm, hex } };
  const [, meaning] = OTHERS.find(([pattern]) => pattern.test(text)) ?? [];
  const count = algorithm && `a ${algorithm} has ${HEX_LENGTH[algorithm]} hexadecimal digits, this has ${hex.length}`;
  const remedy = count ?? meaning ?? countOf(text) ?? FORM;
  return { complaint: `${quoted(written)} is not a checksum: ${remedy}` };
}

const FORM = 'write 64 hexadecimal digits of SHA-256, or "sha512:" and 128';

/** Digits are there, but not as many as any of the algorithms has. */
function countOf(text: string): string | undefined {
  return /^[0-9a-f]{8,}$/i.test(text) ? `it has ${text.length} hexadecimal digits; ${FORM}` : undefined;
}

/** Forms that Packer and other tools accept, with their replacements. */
const OTHERS: readonly (readonly [RegExp, string])[] = [
  [/^(file:|https?:)/i, 'a list of checksums is not fetched: copy the digits of this image from it'],
  [/^(none)?$/i, 'remove the key to accept any content'],
  [/^\s|\s$/, 'it has blanks around it: remove them'],
  [/^(sha-?(224|384|3.*)|blake.*|crc.*|xxh.*)[=:]/i, `the algorithm is not known here; ${FORM}`],
  [
    /^(md5|sha-?\d+) ?\(.*\) ?= ?[0-9a-f]+$/i,
    'write only the algorithm, a colon and the digits, without the name of the file',
  ],
  [/^(md5|sha-?\d+)[=: -]+[0-9a-f]+$/i, 'write a colon between the algorithm and the digits, and no blanks'],
  [/^(sha\d+[:-])?[a-z0-9+/]{16,}={1,2}$/i, 'this is Base64: write the digits in hexadecimal'],
  [/^(md5|sha-?\d+):https?:/i, 'a list of checksums is not fetched: copy the digits of this image from it'],
  [/^[0-9a-f]+\s+\S/i, 'write only the digits, without the name of the file'],
];
