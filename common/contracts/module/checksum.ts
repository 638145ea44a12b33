import type { Checksum } from './compiled.ts';
import { type Parsed, quoted } from './parsed.ts';

const HEX_LENGTH: Readonly<Record<Checksum['algorithm'], number>> = { md5: 32, sha1: 40, sha256: 64, sha512: 128 };
const ALGORITHMS = Object.keys(HEX_LENGTH) as Checksum['algorithm'][];

/** Reads `sha256:<hex>` (also md5, sha1, sha512), or bare hexadecimal whose length tells the algorithm. */
export function parseChecksum(written: unknown): Parsed<Checksum> {
  const [, named, hex = ''] = /^(?:([a-z0-9]+):)?([0-9a-fA-F]*)$/.exec(String(written)) ?? [];
  const algorithm = ALGORITHMS.find((name) => (named ? name === named : HEX_LENGTH[name] === hex.length));
  if (algorithm && HEX_LENGTH[algorithm] === hex.length) return { value: { algorithm, hex: hex.toLowerCase() } };
  return {
    complaint: `${quoted(written)} is not a checksum: write 64 hexadecimal digits of SHA-256, or "sha512:" and 128`,
  };
}
