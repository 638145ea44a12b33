import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAddressGuard } from '../../common/fetch/address-guard.ts';
import {
  type ImageRegistry,
  type PushedImage,
  type PushedLayer,
  startImageRegistry,
} from '../../test/harness/image-registry.ts';
import { takeDisk } from './layer-disk.ts';
import { NetworkDoor } from './network-door.ts';
import { downloadLayers } from './registry-source.ts';

let registry: ImageRegistry;
let parent: string;

beforeAll(async () => {
  registry = await startImageRegistry({ tokens: true });
  parent = await mkdtemp(join(tmpdir(), 'registry-source-'));
});

afterAll(async () => {
  await registry.stop();
  await rm(parent, { recursive: true });
});

let images = 0;

async function push(image: PushedImage): Promise<string> {
  images += 1;
  await registry.push(`disks/n${images}:1`, image);
  return `docker://${registry.host}/disks/n${images}:1`;
}

async function download(url: string, signal = new AbortController().signal, mostBytes = 1024 ** 2) {
  const shares: number[] = [];
  const directory = await mkdtemp(join(parent, 'image-'));
  const onProgress = (share: number) => void shares.push(share);
  const door = await NetworkDoor.open(join(directory, 'door'), createAddressGuard({ allowedAddresses: ['127.0.0.1'] }));
  try {
    await downloadLayers({ url, architecture: 'amd64' }, { directory, mostBytes, onProgress, signal });
  } finally {
    door.close();
  }
  await takeDisk(directory, { mostBytes }, signal);
  return {
    content: await readFile(join(directory, 'import.part'), 'utf8'),
    share: shares.at(-1),
    files: await readdir(directory),
  };
}

const layer = (files: Readonly<Record<string, string>>, packing: PushedLayer['packing'] = 'gzip'): PushedLayer => ({
  packing,
  files: Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])),
});

test.each(['none', 'gzip', 'zstd'] as const)('takes the disk out of a layer packed with %s', async (packing) => {
  const base = layer({ 'etc/passwd': 'root', 'diskette/x': 'no' });
  const url = await push({
    layers: [base, layer({ 'disk/': '', 'disk/a.qcow2': 'the disk', 'disk/b': 'b' }, packing)],
  });
  expect(await download(url)).toEqual({ content: 'the disk', share: 1, files: ['import.part'] });
});

test('chooses the image of the architecture, passes whiteouts by, and knows names with a dot in front', async () => {
  const layers = [layer({ 'disk/.wh.old': '', './disk/new.img': 'new' })];
  expect((await download(await push({ layers, indexed: true }))).content).toBe('new');
});

test('takes neither a layer nor a disk that is larger than the volume', async () => {
  const url = await push({ layers: [layer({ 'disk/a': 'x'.repeat(10_000) })] });
  await expect(download(url, undefined, 5_000)).rejects.toThrow('DataVolume too small to contain image');
  await expect(download(url, undefined, 20)).rejects.toThrow('the layers of the container image have');
});

test('takes the lowest layer that has a disk, as CDI does', async () => {
  const url = await push({ layers: [layer({ 'disk/a': 'lower' }), layer({ 'disk/a': 'upper' })] });
  expect((await download(url)).content).toBe('lower');
});

test('refuses a layer that is not what the manifest names, and one that is longer', async () => {
  const tamper = async (change: (bytes: Buffer) => Buffer) => {
    const before = new Set(registry.blobs.keys());
    const url = await push({ layers: [layer({ 'disk/a': `disk ${images}` }, 'none')] });
    const digest = [...registry.blobs.keys()].find(
      (key) => !before.has(key) && (registry.blobs.get(key)?.length ?? 0) > 2,
    );
    registry.blobs.set(digest ?? '', change(registry.blobs.get(digest ?? '') ?? Buffer.alloc(0)));
    return url;
  };
  const flipped = await tamper((bytes) => Buffer.from(bytes).fill(0x7a, 512, 513));
  await expect(download(flipped)).rejects.toThrow('its digest is sha256:');
  const longer = await tamper((bytes) => Buffer.concat([bytes, Buffer.alloc(1)]));
  await expect(download(longer)).rejects.toThrow('it is longer than');
});

test('reports missing parts of an image, and invalid references', async () => {
  const empty = await push({ layers: [layer({ 'etc/motd': 'hello' })] });
  await expect(download(empty)).rejects.toThrow('Failed to find VM disk image file in the container image');
  await expect(download(`docker://${registry.host}/disks/none:1`)).rejects.toThrow('manifest unknown');
  await expect(download('oci-archive:///tmp/x')).rejects.toThrow('Could not parse image');
  const signal = AbortSignal.abort(new Error('the volume has gone'));
  await expect(download(empty, signal)).rejects.toThrow('the volume has gone');
});
