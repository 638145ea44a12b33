import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assert } from '../../common/errors/farm-error.ts';
import type { TestFarm } from './farm.ts';
import { traces } from './traces.ts';

const PIECE = 1024 ** 2;
const EMPTY = Buffer.alloc(PIECE);
/** Longer than any form of a planted value, which may begin in one piece and end in the next. */
const OVERLAP = 4096;

/**
 * Which of these values every byte of an image's only disk shows, in any form: files, what is left of removed ones, and
 * the free space between them. Ask for a value that must be there too, or nothing shows that the search finds anything.
 */
export function foundOnDisk(farm: TestFarm, image: string, values: readonly string[]): Promise<string[]> {
  return withExport(farm, [image], (file) => foundInFile(file, values));
}

/** Exports a disk, by the arguments of `slipway image export`, to a file that is removed after its use. */
export async function withExport<T>(
  farm: TestFarm,
  image: readonly string[],
  use: (file: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-disk-'));
  const file = join(folder, 'disk.qcow2');
  try {
    const exported = await farm.slipway('image', 'export', ...image, '-o', file);
    assert(exported.exitCode === 0, `The disk of ${image[0]} cannot be exported: ${exported.stderr}`);
    return await use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** As `foundOnDisk`, in a file of any format that QEMU reads. */
export async function foundInFile(file: string, values: readonly string[]): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-raw-'));
  const raw = join(folder, 'disk.raw');
  try {
    await promisify(execFile)('qemu-img', ['convert', '-O', 'raw', file, raw]);
    return await search(raw, values);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function search(path: string, values: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  await using file = await open(path);
  let before = '';
  for await (const bytes of file.createReadStream({ highWaterMark: PIECE, autoClose: false })) {
    const piece = bytes as Buffer;
    // Most of a disk was never written.
    const text = before + (piece.equals(EMPTY.subarray(0, piece.length)) ? '' : piece.toString('latin1'));
    for (const value of values) if (text.length > OVERLAP && traces(value, text).length > 0) found.add(value);
    before = text.slice(-OVERLAP);
  }
  return [...found];
}
