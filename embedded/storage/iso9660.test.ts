import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isoImage } from './iso9660.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iso-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Reads an image with a foreign program. */
function xorriso(image: string, ...args: string[]): string {
  const options = ['-indev', image, '-report_about', 'SORRY', ...args];
  return execFileSync('xorriso', ['-osirrox', 'on', ...options], { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

test.each(['norock', 'ecma119'])('xorriso reads label, folders and contents (%s)', async (tree) => {
  const big = Buffer.alloc(5000, 'x');
  const many = Array.from({ length: 60 }, (_, index) => [`a-rather-long-file-name-${index}.txt`, `${index}`] as const);
  const files = new Map<string, Buffer | string>([
    ['user-data', '#cloud-config\n'],
    ['meta-data', ''],
    ['openstack/latest/user_data', big],
    ['openstack/latest/meta_data.json', '{}'],
    ...many,
  ]);
  const image = join(directory, 'disc.iso');
  await writeFile(image, isoImage('cidata', files));
  const read = (...args: string[]) =>
    execFileSync('xorriso', [
      '-osirrox',
      'on',
      '-report_about',
      'SORRY',
      '-read_fs',
      tree,
      '-indev',
      image,
      ...args,
    ]).toString();
  read('-extract', '/', join(directory, 'out'));
  for (const [path, content] of files) {
    expect(await readFile(join(directory, 'out', path), 'utf8'), path).toBe(content.toString());
  }
  expect(xorriso(image, '-pvd_info')).toMatch(/Volume Id\s*: cidata/);
});

test('the same files are the same image', () => {
  const files = new Map([['a', 'b']]);
  expect(isoImage('x', files).equals(isoImage('x', files))).toBe(true);
});
