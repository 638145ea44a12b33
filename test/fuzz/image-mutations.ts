import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { BytesUnavailable, type ImageBytes } from '../../common/image/image-bytes.ts';

/** What an image begins with, its stated length, and whether more than its beginning can be read. */
export interface MutatedImage {
  readonly seed: string;
  readonly edits: readonly (readonly [offset: number, bytes: Uint8Array])[];
  readonly lengthBytes: number | undefined;
  readonly hasRanges: boolean;
  /** What is where the seed has ended. */
  readonly filling: number;
}

const CONTENT_BYTES = 2 * 1024 ** 2;
const FORMATS: readonly (readonly [seed: string, format: string, options: string])[] = [
  ['qcow2', 'qcow2', ''],
  ['qcow2 v2', 'qcow2', 'compat=0.10'],
  ['qcow2 extended', 'qcow2', 'extended_l2=on,cluster_size=128k'],
  ['vmdk', 'vmdk', 'subformat=monolithicSparse'],
  ['vmdk streamed', 'vmdk', 'subformat=streamOptimized'],
  ['vdi', 'vdi', ''],
  ['vhd', 'vpc', 'subformat=dynamic,force_size=on'],
  ['vhdx', 'vhdx', ''],
];

/** An image of each format as QEMU writes it, by name; and a CD, and a partitioned disk. */
export function seedImages(): ReadonlyMap<string, Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-fuzz-'));
  try {
    const raw = Buffer.alloc(CONTENT_BYTES);
    for (let offset = 0; offset < CONTENT_BYTES; offset += 4096) raw.writeUInt32LE(offset + 1, offset + 512);
    writeFileSync(join(folder, 'raw'), raw);
    const made = FORMATS.map(([seed, format, options]): [string, Buffer] => {
      const how = options === '' ? [] : ['-o', options];
      execFileSync('qemu-img', [
        'convert',
        '-f',
        'raw',
        '-O',
        format,
        ...how,
        join(folder, 'raw'),
        join(folder, 'made'),
      ]);
      return [seed, readFileSync(join(folder, 'made'))];
    });
    return new Map([...made, ['cd', compactDisc()], ['gpt', partitioned()]]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function compactDisc(): Buffer {
  const disc = Buffer.alloc(40 * 2048);
  disc.write('CD001', 0x8001);
  disc.writeUInt32LE(40, 0x8050);
  return disc;
}

function partitioned(): Buffer {
  const disk = Buffer.alloc(1024 ** 2);
  disk.write('EFI PART', 512);
  disk.writeBigUInt64LE(2047n, 512 + 32);
  return disk;
}

/** Numbers at which parsers break, as the fields of headers hold them. */
const NUMBERS = [
  0n,
  1n,
  0x7fn,
  0x1ffn,
  0x3ffn,
  0x400n,
  0xffffn,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

function numberBytes(value: bigint, { width, isLittle }: { width: number; isLittle: boolean }): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  const cut = bytes.subarray(8 - width);
  return isLittle ? cut.toReversed() : cut;
}

export function mutatedImages(seeds: ReadonlyMap<string, Buffer>): fc.Arbitrary<MutatedImage> {
  const field = fc
    .record({ value: fc.constantFrom(...NUMBERS), width: fc.constantFrom(1, 2, 4, 8), isLittle: fc.boolean() })
    .map(({ value, ...form }) => numberBytes(value, form));
  const text = fc
    .constantFrom(
      'RW 8 FLAT "/etc/shadow" 0\n',
      'parentFileNameHint="x"\n',
      'KDMV',
      'conectix',
      'regi',
      'metadata',
      '\0',
    )
    .map((written) => Buffer.from(written));
  const offset = fc.oneof(
    { weight: 6, arbitrary: fc.nat(63).map((slot) => slot * 8) },
    { weight: 4, arbitrary: fc.nat(1023) },
    // Tables, and what lies behind the header.
    { weight: 3, arbitrary: fc.nat(320).map((slot) => slot * 1024) },
    { weight: 2, arbitrary: fc.nat(340 * 1024) },
  );
  const bytes = fc.oneof({ weight: 4, arbitrary: field }, fc.uint8Array({ minLength: 1, maxLength: 8 }), text);
  return fc.record({
    seed: fc.constantFrom(...seeds.keys()),
    edits: fc.array(fc.tuple(offset, bytes), { maxLength: 6 }),
    lengthBytes: fc.option(fc.oneof(fc.nat(CONTENT_BYTES), fc.constantFrom(2 ** 31, 2 ** 40, 2 ** 53, 2 ** 63)), {
      nil: undefined,
    }),
    hasRanges: fc.boolean(),
    filling: fc.constantFrom(0, 1, 0x7f, 0xff),
  });
}

/** No file of the attacker's is longer than its sparse length, and all of it can be read. */
export function bytesOf(image: MutatedImage, seeds: ReadonlyMap<string, Buffer>): ImageBytes {
  const { seed, edits, lengthBytes, hasRanges, filling } = image;
  const content = Buffer.from(seeds.get(seed) ?? []);
  for (const [offset, bytes] of edits)
    content.set(bytes.subarray(0, Math.max(0, content.length - offset)), Math.min(offset, content.length));
  const end = lengthBytes ?? content.length;
  const read = async (offset: number, length: number): Promise<Buffer> => {
    if (offset > 0 && !hasRanges) throw new BytesUnavailable();
    const found = Buffer.alloc(Math.max(0, Math.min(length, end - offset)), filling);
    content.copy(found, 0, Math.min(offset, content.length), Math.min(content.length, offset + found.length));
    return found;
  };
  return { lengthBytes, read };
}
