import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { layoutOf } from '../host/layout.ts';
import { writeEmptyQcow2 } from './qcow2.ts';
import { VolumeFiles } from './volumes.ts';

const run = promisify(execFile);
const MEBIBYTE = 1024 * 1024;
let dataDir: string;
let files: VolumeFiles;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'slipway-volumes-'));
  files = new VolumeFiles(layoutOf(dataDir));
});

afterAll(() => rm(dataDir, { recursive: true }));

/** Writes a pattern to the n-th mebibyte of a volume, with QEMU's own tool. */
async function write(volume: string, n: number): Promise<void> {
  await run('qemu-io', ['-f', 'qcow2', '-c', `write -P ${n} ${n}M 1M`, files.disk(volume)]);
}

test('layers are based on layers, however many, and every one of them can be read', async () => {
  await files.createBlank('base', 8 * MEBIBYTE);
  for (const [n, from, to] of [
    [1, 'base', 'web'],
    [2, 'web', 'app'],
    [3, 'app', 'top'],
  ] as const) {
    await write(from, n);
    await files.freeze(from, `layer-of-${from}`);
    await files.cloneLayer(to, `layer-of-${from}`, 0);
  }
  const reads = [1, 2, 3].flatMap((n) => ['-c', `read -P ${n} ${n}M 1M`]);
  const { stdout } = await run('qemu-io', ['-r', '-f', 'qcow2', ...reads, files.disk('top')]);
  expect(stdout).not.toMatch(/failed/);
});

test.each(['/etc/shadow', '../other/disk.qcow2', 'json:{"driver":"nbd"}', 'nbd:127.0.0.1:1', 'disk.qcow2'])(
  'a disk whose machine wrote "%s" into it is neither lent nor read',
  async (backingFile) => {
    await files.createBlank('taken-over', MEBIBYTE);
    await writeEmptyQcow2(files.disk('taken-over'), { virtualSizeBytes: MEBIBYTE, backingFile });
    await expect(files.layersBelow('taken-over')).rejects.toThrow('tampered with');
    await expect(files.lend('taken-over', { user: undefined, mayWrite: true })).rejects.toThrow('tampered with');
    await files.remove('taken-over');
  },
);

test('long chains are shortened, and what others share is not copied', async () => {
  const own = new VolumeFiles(layoutOf(join(dataDir, 'long')));
  await own.createBlank('v', 64 * MEBIBYTE);
  const count = 20;
  for (let n = 0; n < count; n += 1) {
    await run('qemu-io', ['-f', 'qcow2', '-c', `write -P ${n + 1} ${n}M 1M`, own.disk('v')]);
    await own.freeze('v', `l${n}`);
  }
  // Another one is in the middle, and two layers are images themselves.
  await own.cloneLayer('other', 'l9', 0);
  const referenced = () => new Set(['l5', `l${count - 1}`]);
  const inodes = () => Promise.all(['l5', 'l9'].map(async (layer) => (await stat(layerFile(layer))).ino));
  const layerFile = (layer: string) => join(layoutOf(join(dataDir, 'long')).layers, `${layer}.qcow2`);
  const { signal } = new AbortController();
  expect(await own.collectLayers(referenced)).toEqual([]);
  const before = await inodes();
  const sizes = await own.layerSizes('l19');
  expect(sizes.ownBytes).toBeGreaterThanOrEqual(MEBIBYTE);
  expect(sizes.usedBytes).toBeGreaterThanOrEqual(count * MEBIBYTE);
  expect(sizes.ownBytes).toBeLessThan(2 * MEBIBYTE);
  await own.flatten(referenced, signal);
  expect(await own.collectLayers(referenced)).toHaveLength(9);
  const below = async (volume: string) => (await own.layersBelow(volume)).map((path) => basename(path, '.qcow2'));
  expect(await below('v')).toEqual(['l19', 'l9', 'l8', 'l7', 'l6', 'l5', 'l4', 'l3', 'l2', 'l1', 'l0']);
  expect(await below('other')).toEqual(['l9', 'l8', 'l7', 'l6', 'l5', 'l4', 'l3', 'l2', 'l1', 'l0']);
  expect(await inodes()).toEqual(before);
  const reads = Array.from({ length: count }, (_, n) => ['-c', `read -P ${n + 1} ${n}M 1M`]).flat();
  const { stdout } = await run('qemu-io', ['-r', '-f', 'qcow2', ...reads, own.disk('v')]);
  expect(stdout).not.toMatch(/failed/);
});

test('a layer goes when nothing is based on it any more, and not before', async () => {
  await files.remove('web');
  expect(await files.collectLayers(() => new Set())).toEqual([]);
  for (const volume of ['base', 'app', 'top']) await files.remove(volume);
  expect((await files.collectLayers(() => new Set(['layer-of-web']))).sort()).toEqual(['layer-of-app.qcow2']);
  expect((await files.collectLayers(() => new Set())).sort()).toEqual(['layer-of-base.qcow2', 'layer-of-web.qcow2']);
});
