import { execFile } from 'node:child_process';
import { lstat, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SECTOR = 512;

export interface ImageFile {
  /** Type and permissions. */
  readonly mode: number;
  /** Of a file, or where a symbolic link leads; else empty. */
  readonly content: Buffer;
}

export type ImageFiles = ReadonlyMap<string, ImageFile>;

/** Every file of the largest partition (ext4) of a disk image, by path; nothing is mounted. */
export async function imageFiles(image: string): Promise<ImageFiles> {
  const directory = await mkdtemp(join(tmpdir(), 'slipway-image-'));
  try {
    const [raw, tree] = [join(directory, 'disk.raw'), join(directory, 'tree')];
    await run('qemu-img', ['convert', '-O', 'raw', image, raw]);
    const { stdout } = await run('sfdisk', ['--json', raw]);
    const { partitions } = JSON.parse(stdout).partitiontable as { partitions: { start: number; size: number }[] };
    const largest = partitions.reduce((one, other) => (one.size > other.size ? one : other));
    await run('mkdir', [tree]);
    await run('debugfs', ['-R', `rdump / ${tree}`, `${raw}?offset=${largest.start * SECTOR}`]);
    const files = new Map<string, ImageFile>();
    await walk(tree, '', files);
    return files;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function walk(tree: string, path: string, files: Map<string, ImageFile>): Promise<void> {
  for (const name of await readdir(join(tree, path))) {
    const [below, file] = [`${path}/${name}`, join(tree, path, name)];
    const about = await lstat(file);
    const content = about.isFile() ? await readFile(file) : about.isSymbolicLink() ? await readlink(file) : '';
    files.set(below, { mode: about.mode, content: Buffer.from(content) });
    if (about.isDirectory()) await walk(tree, below, files);
  }
}

/** Paths that are not the same in both, each with a sign before it: `+` new, `-` gone, `~` changed. */
export function changedFiles(before: ImageFiles, after: ImageFiles): string[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  return paths.flatMap((path) => {
    const [old, now] = [before.get(path), after.get(path)];
    if (old && now) return old.mode === now.mode && old.content.equals(now.content) ? [] : `~${path}`;
    return `${old ? '-' : '+'}${path}`;
  });
}
