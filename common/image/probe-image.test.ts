import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEncrypted } from '../../test/harness/encrypted-image.ts';
import { withFileBytes } from './file-bytes.ts';
import { BytesUnavailable, type ImageBytes, ImageRefused } from './image-bytes.ts';
import { probeImage } from './probe-image.ts';

const MIB = 1024 ** 2;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'probe-'));
  await writeFile(
    path('content'),
    Buffer.concat([Buffer.alloc(512), randomBytes(3 * MIB), Buffer.alloc(5 * MIB - 512)]),
  );
});
afterAll(() => rm(directory, { recursive: true }));

const path = (name: string) => join(directory, name);
const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { stdio: 'pipe' });
const probe = (name: string) => withFileBytes(path(name), probeImage);

function bytesOf(content: Buffer): ImageBytes {
  return { lengthBytes: content.length, read: async (offset, length) => content.subarray(offset, offset + length) };
}

function convert(name: string, format: string, ...options: string[]): string {
  qemuImg('convert', '-f', 'raw', '-O', format, ...options, path('content'), path(name));
  return name;
}

describe('what QEMU makes', () => {
  test.each([
    ['qcow2', 'qcow2', []],
    ['compressed qcow2', 'qcow2', ['-c']],
    ['zstd qcow2', 'qcow2', ['-c', '-o', 'compression_type=zstd']],
    ['qcow2 of version 2', 'qcow2', ['-o', 'compat=0.10']],
    ['qcow2 of small clusters', 'qcow2', ['-o', 'cluster_size=512']],
    ['qcow2 with extended L2', 'qcow2', ['-o', 'extended_l2=on,cluster_size=128k']],
    ['preallocated qcow2', 'qcow2', ['-o', 'preallocation=metadata']],
    ['monolithicSparse', 'vmdk', ['-o', 'subformat=monolithicSparse']],
    ['streamOptimized', 'vmdk', ['-o', 'subformat=streamOptimized']],
    ['vdi', 'vdi', []],
    ['static vdi', 'vdi', ['-o', 'static=on']],
    ['vhd', 'vpc', ['-o', 'subformat=dynamic,force_size=on']],
    ['vhdx', 'vhdx', []],
    ['raw', 'raw', []],
  ])('is taken: %s', async (name, format, options) => {
    const probed = await probe(convert(name, format, ...options));
    expect(probed).toEqual({ format, virtualSizeBytes: 8 * MIB, kind: format === 'raw' ? 'data' : 'disk' });
    // Without more than the beginning, as from a server that knows no ranges.
    const content = await readFile(path(name));
    const read = async (offset: number, length: number) => {
      if (offset > 0) throw new BytesUnavailable();
      return content.subarray(0, length);
    };
    await expect(probeImage({ lengthBytes: undefined, read })).resolves.toMatchObject({ format });
  });

  test.each([
    ['qcow2', 'qcow2', []],
    ['compressed qcow2', 'qcow2', ['-c']],
    ['streamOptimized', 'vmdk', ['-o', 'subformat=streamOptimized']],
    ['vdi', 'vdi', []],
    ['vhd', 'vpc', ['-o', 'subformat=dynamic,force_size=on']],
  ])('is refused when it is cut off: %s', async (name, format, options) => {
    const cut = convert(`cut ${name}`, format, ...options);
    const { length } = await readFile(path(cut));
    await truncate(path(cut), Math.floor(length * 0.6));
    await expect(probe(cut)).rejects.toThrow(/cut off/);
    await truncate(path(cut), 40);
    await expect(probe(cut)).rejects.toThrow(ImageRefused);
  });

  test('is refused where it needs a key, another file, or a parent', { timeout: 120_000 }, async () => {
    createEncrypted(path('luks'), 'qcow2');
    await expect(probe('luks')).rejects.toThrow('a qcow2 image that is encrypted (LUKS)');
    createEncrypted(path('bare-luks'), 'luks');
    await expect(probe('bare-luks')).rejects.toThrow('encrypted with LUKS');
    convert('base', 'qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', path('base'), path('child'));
    await expect(probe('child')).rejects.toThrow(`needs its backing file "${path('base')}"`);
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${path('data')}`, path('external'), '8M');
    await expect(probe('external')).rejects.toThrow('data lie in another file');
    for (const subformat of ['monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']) {
      qemuImg('create', '-q', '-f', 'vmdk', '-o', `subformat=${subformat}`, path(`${subformat}.vmdk`), '8M');
      await expect(probe(`${subformat}.vmdk`)).rejects.toThrow(/descriptor of a VMDK.*names other files \("/);
    }
    convert('parent.vmdk', 'vmdk');
    qemuImg('create', '-q', '-f', 'vmdk', '-F', 'vmdk', '-b', path('parent.vmdk'), path('child.vmdk'));
    await expect(probe('child.vmdk')).rejects.toThrow('needs its parent');
  });
});

test('reads a first-level table of 32 MiB in portions, and finds what was cut off wherever it names it', async () => {
  const entries = 4 * MIB;
  const head = Buffer.alloc(64 * 1024);
  head.writeUInt32BE(0x514649fb, 0);
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(9, 20); // Clusters of 512 bytes: the longest table that the format knows for 128 GiB.
  head.writeBigUInt64BE(2n ** 37n, 24);
  head.writeUInt32BE(entries, 36);
  head.writeBigUInt64BE(BigInt(head.length), 40);
  const lengthBytes = head.length + 33 * MIB;
  const asked: number[] = [];
  const named = (entry: number, offset: number): ImageBytes => ({
    lengthBytes,
    read: async (at, length) => {
      asked.push(length);
      const bytes = Buffer.alloc(Math.min(length, lengthBytes - at));
      if (at < head.length) head.copy(bytes, 0, at);
      const place = head.length + entry * 8 - at;
      if (place >= 0 && place < bytes.length) bytes.writeBigUInt64BE(BigInt(offset), place);
      return bytes;
    },
  });
  await expect(probeImage(named(7, lengthBytes - 512))).resolves.toMatchObject({ virtualSizeBytes: 2 ** 37 });
  expect(Math.max(...asked)).toBeLessThanOrEqual(MIB);
  const beyond = Math.ceil(lengthBytes / 512) * 512;
  for (const entry of [0, entries - 1]) {
    await expect(probeImage(named(entry, beyond))).rejects.toThrow(`its tables name byte ${beyond}`);
  }
});

describe('a VMDK that means harm', () => {
  const DESCRIPTOR = 512;

  async function forged(change: (image: Buffer) => void): Promise<Buffer> {
    const image = await readFile(path(convert('harm.vmdk', 'vmdk')));
    change(image);
    return image;
  }

  const write = (image: Buffer, text: string) => {
    image.fill(0, DESCRIPTOR, DESCRIPTOR + 20 * 512);
    image.write(text, DESCRIPTOR);
  };
  const HEAD = '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicSparse"\n';

  test.each([
    ['without a capacity', (image: Buffer) => image.writeBigUInt64LE(0n, 12), 'a capacity of 0'],
    ['with a flat extent', (image: Buffer) => write(image, `${HEAD}RW 8 FLAT "/etc/shadow" 0\n`), 'names another file'],
    [
      'with a flat extent behind white space',
      (image: Buffer) => write(image, `${HEAD}\vRW\t8 FLAT "/etc/shadow" 0\n`),
      'names another file',
    ],
    ['with a path', (image: Buffer) => write(image, `${HEAD}RW 8 SPARSE "/etc/shadow"\n`), 'names another file'],
    ['with two extents', (image: Buffer) => write(image, `${HEAD}RW 8 SPARSE "a"\nRW 8 SPARSE "b"\n`), 'of 2 files'],
    ['with a parent', (image: Buffer) => write(image, `${HEAD}parentFileNameHint="/etc/shadow"\n`), 'needs its parent'],
    [
      'of another kind',
      (image: Buffer) => write(image, HEAD.replace('monolithicSparse', 'monolithicFlat')),
      'of the kind "monolithicFlat"',
    ],
    [
      'with its descriptor elsewhere',
      (image: Buffer) => {
        image.writeBigUInt64LE(64n, 28);
        image.write(`${HEAD}RW 8 FLAT "/etc/shadow" 0\n\0`, 64 * 512);
      },
      'names another file',
    ],
    ['with an endless descriptor', (image: Buffer) => image.writeBigUInt64LE(2n ** 60n, 36), 'out of bounds'],
  ])('is refused: %s', async (_name, change, part) => {
    await expect(probeImage(bytesOf(await forged(change)))).rejects.toThrow(part);
  });
});

/** Content with this beginning, and these texts in it. */
function begun(hex: string, ...texts: readonly (readonly [number, string])[]): Buffer {
  const content = Buffer.alloc(4096, 0);
  content.write(hex, 'hex');
  for (const [at, text] of texts) content.write(text, at, 'latin1');
  return content;
}

function oldTarHeader(): Buffer {
  const header = Buffer.alloc(512);
  header.write('disk.vmdk\0');
  header.write('0000644\0', 100);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0`, 148);
  return header;
}

test.each([
  ['nothing', '', 'empty'],
  ['a page', '\n<!DOCTYPE html><html><head><title>Sign\n in</title>', 'an HTML page, not a disk image.*"Sign in"'],
  ['a longer page', `<html>${'x'.repeat(5000)}`, 'an HTML page'],
  ['an error in XML', '<?xml version="1.0"?><Error><Code>AccessDenied</Code>', 'an XML text'],
  ['an OVF', '<?xml version="1.0"?>\n<Envelope xmlns="x">', 'an OVF description'],
  ['an error in JSON', '{"error":"not found"}', 'a JSON text'],
  ['what Git LFS keeps', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n', 'a pointer of Git LFS'],
  ['checksums', `${'ab'.repeat(32)}  debian.qcow2\n`, 'a list of checksums.*"abab'],
  ['checksums of BSD', `SHA256 (debian.qcow2) = ${'ab'.repeat(32)}\n`, 'a list of checksums'],
  ['a torrent', 'd8:announce35:http://tracker.example/announce', 'a torrent'],
  ['a text', 'Not found\n', 'a text, not a disk image.*"Not found"'],
  ['a ZIP', Buffer.concat([Buffer.from('504b0304', 'hex'), Buffer.alloc(600)]), 'a ZIP file'],
  ['a tar', Buffer.concat([Buffer.alloc(257), Buffer.from('ustar'), Buffer.alloc(600)]), 'a tar file'],
  ['bzip2', Buffer.concat([Buffer.from('BZh9'), Buffer.alloc(600)]), 'compressed with bzip2'],
  ['a tar without a mark', Buffer.concat([oldTarHeader(), Buffer.alloc(1024)]), 'a tar file'],
  ['a tar in gzip', gzipSync(Buffer.concat([oldTarHeader(), randomBytes(9000)])), 'packed with gzip, and inside a tar'],
  ['a page in gzip', gzipSync('<html>'), 'packed with gzip, and inside an HTML page'],
  ['an initial RAM disk', begun('3037303730310a00'), 'a cpio archive'],
  ['a kernel', begun('4d5a00', [514, 'HdrS']), 'a Linux kernel'],
  ['a program', begun('4d5a00', [60, '\x80'], [128, 'PE\0\0']), 'a program for Windows or UEFI'],
  ['a program of Linux', begun('7f454c4602'), 'a program \\(ELF'],
  ['a PDF', begun('255044462d312e370ae2'), 'a PDF'],
  ['a squashfs', begun('68737173'), 'a squashfs.*give an image, or the ISO'],
  ['a PNG', begun('89504e470d0a1a0a'), 'a picture .PNG'],
  ['a JPEG', begun('ffd8ffe0'), 'a picture .JPEG'],
  ['an MP4', begun('00000020', [4, 'ftypisom']), 'a video .MP4'],
  ['a WebM', begun('1a45dfa3'), 'a video .Matroska'],
  ['an MSI', begun('d0cf11e0a1b11ae1'), 'an installer .MSI'],
  ['a cabinet file', begun('4d53434600000000'), 'a cabinet file'],
  ['a database', begun('', [0, 'SQLite format 3\0']), 'a database'],
  ['lzma', begun('5d00000400ffffffffffffffff'), 'compressed with lzma'],
  ['a few bytes', Buffer.of(0, 1, 2), 'less than one sector'],
])('reports that %s is not an image', async (_name, content, pattern) => {
  const error = await probeImage(bytesOf(Buffer.from(content))).catch((refused) => refused);
  expect(error).toBeInstanceOf(ImageRefused);
  expect(error.message).toMatch(new RegExp(pattern, 's'));
});

test('knows CDs, and what was cut off of them and of partitioned disks', async () => {
  const iso = Buffer.alloc(40 * 2048);
  iso.write('CD001', 0x8001);
  iso.writeUInt32LE(40, 0x8050);
  expect(await probeImage(bytesOf(iso))).toMatchObject({ format: 'raw', kind: 'iso', virtualSizeBytes: iso.length });
  iso.writeUInt16LE(0xaa55, 510);
  expect(await probeImage(bytesOf(iso))).toMatchObject({ kind: 'hybrid' });
  iso.writeUInt32LE(400, 0x8050);
  await expect(probeImage(bytesOf(iso))).rejects.toThrow(`it has ${iso.length} of ${400 * 2048} bytes`);
  const disk = Buffer.alloc(MIB);
  disk.write('EFI PART', 512);
  disk.writeBigUInt64LE(2047n, 512 + 32);
  expect(await probeImage(bytesOf(disk))).toMatchObject({ kind: 'data' });
  disk.writeUInt16LE(0xaa55, 510);
  expect(await probeImage(bytesOf(disk))).toMatchObject({ kind: 'disk' });
  await expect(probeImage(bytesOf(disk.subarray(0, -512)))).rejects.toThrow('raw disk image that was cut off');
});

test.each([
  ['ext4', 'mkfs.ext4', ['-q'], 'data', 'an ext2, ext3 or ext4 file system'],
  ['FAT', 'mkfs.vfat', [], 'disk', 'a FAT file system'],
  ['swap', 'mkswap', ['-q'], 'data', 'swap space'],
  ['nothing but zeros', 'true', [], 'data', undefined],
] as const)('takes a disk without partitions: %s', async (name, command, options, kind, volume) => {
  await writeFile(path(name), '');
  await truncate(path(name), 16 * MIB);
  execFileSync(command, [...options, path(name)], { stdio: 'pipe', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  expect(await probe(name)).toEqual({ format: 'raw', virtualSizeBytes: 16 * MIB, kind, volume });
});

test.each([
  ['an XFS file system', begun('58465342')],
  ['an NTFS file system', begun('eb5290', [3, 'NTFS    '])],
  ['a physical volume of LVM', begun('', [512, 'LABELONE'])],
])('takes %s for a volume', async (volume, content) => {
  expect(await probeImage(bytesOf(content))).toMatchObject({ kind: 'data', volume });
});

test('leaves what is compressed to the code that unpacks it', async () => {
  expect(await probeImage(bytesOf(gzipSync(Buffer.alloc(1000))))).toEqual({ compression: 'gzip' });
});

test('returns a verdict in bounded time for any input', { timeout: 60_000 }, async () => {
  const formats = ['qcow2', 'vmdk', 'vdi', 'vpc', 'vhdx'];
  const seeds = await Promise.all(
    formats.map(async (format) => (await readFile(path(convert(`seed.${format}`, format)))).subarray(0, 300 * 1024)),
  );
  const mutation = fc.record({
    seed: fc.nat(seeds.length - 1),
    length: fc.option(fc.nat(300 * 1024)),
    edits: fc.array(fc.tuple(fc.nat(1023), fc.uint8Array({ minLength: 1, maxLength: 8 })), { maxLength: 8 }),
  });
  await fc.assert(
    fc.asyncProperty(mutation, async ({ seed, length, edits }) => {
      const image = Buffer.from(seeds[seed] ?? []);
      for (const [at, bytes] of edits) image.set(bytes, at);
      const verdict = await probeImage(bytesOf(image.subarray(0, length ?? image.length))).catch((error) => error);
      return !(verdict instanceof Error) || verdict instanceof ImageRefused;
    }),
    { numRuns: 500 },
  );
});
