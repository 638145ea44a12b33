import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DockerRegistry, REGISTRY_USER, startDockerRegistry } from '../../test/harness/docker-registry.ts';
import { containerDiskLayer } from './container-disk.ts';
import { type ContainerReference, parseContainerReference } from './image-reference.ts';
import { assertPushAllowed, type ImageContent, pushImage } from './push-image.ts';
import { RegistryClient } from './registry-client.ts';

const DISK = randomBytes(3 << 20);

let open: DockerRegistry;
let guarded: DockerRegistry;
let folder: string;
let image: ImageContent;

beforeAll(async () => {
  [open, guarded] = await Promise.all([startDockerRegistry(), startDockerRegistry({ isGuarded: true })]);
  folder = await mkdtemp(join(tmpdir(), 'slipway-push-'));
  await writeFile(join(folder, 'disk'), DISK);
  image = {
    layer: await containerDiskLayer(join(folder, 'disk'), 'disk.qcow2'),
    architecture: 'amd64',
    createdAt: '2026-06-01T00:00:00.000Z',
    annotations: { 'org.opencontainers.image.version': '3' },
  };
});

afterAll(async () => {
  await Promise.all([open?.stop(), guarded?.stop()]);
  await rm(folder, { recursive: true, force: true });
});

function named(text: string): ContainerReference {
  const reference = parseContainerReference(text);
  if (!reference) throw new Error(`${text} is not a reference`);
  return reference;
}

/** What a client that pulls an image gets. */
async function pulled(client: RegistryClient): Promise<{ readonly header: Header; readonly content: Buffer }[]> {
  const [layer, ...others] = await client.layers('amd64');
  expect(others).toEqual([]);
  const { url, headers } = await client.blob(layer?.digest ?? '');
  const files: { header: Header; content: Buffer }[] = [];
  const archive = extract();
  archive.on('entry', (header, stream, next) => {
    buffer(stream).then((content) => {
      files.push({ header, content });
      next();
    }, next);
  });
  await pipeline((await fetch(url, { headers })).body ?? [], archive);
  return files;
}

test('a disk is pulled as KubeVirt reads it: in /disk, for the user of QEMU', async () => {
  const heard: number[] = [];
  const digest = await pushImage(named(`${open.host}/farm/base:3`), image, { onProgress: (done) => heard.push(done) });
  const client = new RegistryClient(named(`${open.host}/farm/base:3`));
  expect(await client.digest()).toBe(digest);
  const [directory, disk, ...others] = await pulled(client);
  expect(others).toEqual([]);
  expect(directory?.header).toMatchObject({ name: 'disk/', type: 'directory', uid: 107, gid: 107, mode: 0o555 });
  expect(disk?.header).toMatchObject({ name: 'disk/disk.qcow2', type: 'file', uid: 107, gid: 107, mode: 0o440 });
  expect(disk?.content.equals(DISK)).toBe(true);
  expect(heard.at(-1)).toBe(image.layer.sizeBytes);
  expect(heard.length).toBeGreaterThan(2);
});

test('what the registry has is not sent again, and the image is the same', async () => {
  const first = await pushImage(named(`${open.host}/farm/twice:1`), image);
  const heard: number[] = [];
  const again = await pushImage(named(`${open.host}/farm/twice:2`), image, { onProgress: (done) => heard.push(done) });
  expect(again).toBe(first);
  expect(heard).toEqual([image.layer.sizeBytes]);
});

test('a registry that wants a password gets it, and a missing one is reported', async () => {
  const reference = named(`${guarded.host}/farm/base:1`);
  const credentials = REGISTRY_USER;
  await expect(pushImage(reference, image)).rejects.toMatchObject({ status: 401 });
  const wrong = { ...credentials, password: 'wrong' };
  await expect(pushImage(reference, image, { credentials: wrong })).rejects.toThrow('authentication required');
  const digest = await pushImage(reference, image, { credentials });
  expect(await new RegistryClient(reference, { credentials }).digest()).toBe(digest);
});

test('a registry that takes no images is known before there is one', async () => {
  const reference = named(`${guarded.host}/farm/later:1`);
  await expect(assertPushAllowed(reference)).rejects.toThrow('authentication required');
  await assertPushAllowed(reference, { credentials: REGISTRY_USER });
  await expect(new RegistryClient(reference, { credentials: REGISTRY_USER }).digest()).rejects.toMatchObject({
    status: 404,
  });
});

test('a push that is called off ends, and leaves no image', async () => {
  const gone = new AbortController();
  const onProgress = () => gone.abort(new Error('called off'));
  const reference = named(`${open.host}/farm/cut:1`);
  const layer = await containerDiskLayer(join(folder, 'disk'), 'other.qcow2');
  const pushing = pushImage(reference, { ...image, layer }, { onProgress, signal: gone.signal });
  await expect(pushing).rejects.toThrow('called off');
  await expect(new RegistryClient(reference).digest()).rejects.toMatchObject({ status: 404 });
});
