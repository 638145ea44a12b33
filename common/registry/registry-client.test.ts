import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ImageRegistry, startImageRegistry } from '../../test/harness/image-registry.ts';
import { type ContainerReference, parseContainerReference, pinnedReference, registryUrl } from './image-reference.ts';
import { RegistryClient } from './registry-client.ts';
import type { RegistryOptions } from './registry-session.ts';

const HEX = 'ab'.repeat(32);

describe('a reference', () => {
  const none = { tag: null, digest: null };
  test.each<[string, ContainerReference]>([
    ['alpine', { registry: 'docker.io', repository: 'library/alpine', ...none, tag: 'latest' }],
    ['docker.io/alpine:3', { registry: 'docker.io', repository: 'library/alpine', ...none, tag: '3' }],
    ['me/tool', { registry: 'docker.io', repository: 'me/tool', ...none, tag: 'latest' }],
    [
      'quay.io/containerdisks/fedora:41',
      { registry: 'quay.io', repository: 'containerdisks/fedora', ...none, tag: '41' },
    ],
    ['localhost/a/b/c', { registry: 'localhost', repository: 'a/b/c', ...none, tag: 'latest' }],
    ['127.0.0.1:5000/x', { registry: '127.0.0.1:5000', repository: 'x', ...none, tag: 'latest' }],
    [`h:1/x:t@sha256:${HEX}`, { registry: 'h:1', repository: 'x', tag: 't', digest: `sha256:${HEX}` }],
    [`h.io/x@sha256:${HEX}`, { registry: 'h.io', repository: 'x', tag: null, digest: `sha256:${HEX}` }],
  ])('%s is read with the defaults that everybody shares', (text, expected) => {
    expect(parseContainerReference(text)).toEqual(expected);
  });

  test.each(['', 'docker://alpine', 'quay.io/', 'quay.io/Upper', 'a b', 'x@sha256:1', '../x', 'h.io/x/../y'])(
    '%j is none',
    (text) => expect(parseContainerReference(text)).toBeUndefined(),
  );

  test('is pinned by a digest alone, and leads to the API of its registry', () => {
    const reference = parseContainerReference('quay.io/x/y:1');
    if (!reference) throw new Error('unreachable');
    expect(pinnedReference(reference, `sha256:${HEX}`)).toBe(`quay.io/x/y@sha256:${HEX}`);
    const urls = ['alpine', 'quay.io/x', 'localhost:5000/x', '127.0.0.1/x', '127.example.org/x'].map((text) => {
      const parsed = parseContainerReference(text);
      return parsed && registryUrl(parsed);
    });
    expect(urls).toEqual([
      'https://registry-1.docker.io/v2/',
      'https://quay.io/v2/',
      'http://localhost:5000/v2/',
      'http://127.0.0.1/v2/',
      'https://127.example.org/v2/',
    ]);
  });
});

describe('a registry', () => {
  let open: ImageRegistry;
  let guarded: ImageRegistry;

  beforeAll(async () => {
    [open, guarded] = await Promise.all([startImageRegistry(), startImageRegistry({ tokens: true })]);
  });

  afterAll(() => Promise.all([open.stop(), guarded.stop()]));

  const client = (text: string, options: RegistryOptions = {}) => {
    const reference = parseContainerReference(text);
    if (!reference) throw new Error(`${text} is not a reference`);
    return new RegistryClient(reference, options);
  };
  const image = { layers: [{ files: { 'disk/a': Buffer.from('a') } }, { files: { b: Buffer.from('b') } }] };

  test('returns the digest that a tag has now, and the layers of the image', async () => {
    const digest = await open.push('x/y:1', image);
    const asked = client(`${open.host}/x/y:1`);
    expect(await asked.digest()).toBe(digest);
    expect(open.requests).toEqual(['HEAD /v2/x/y/manifests/1']);
    const layers = await asked.layers('amd64');
    expect(layers.map(({ digest: layer, size }) => open.blobs.get(layer)?.length === size)).toEqual([true, true]);
    expect(await client(`${open.host}/x/y@${digest}`).layers('amd64')).toEqual(layers);
  });

  test('has an image for one architecture behind an index, and not for another', async () => {
    const plain = await open.push('x/one:1', image);
    const index = await open.push('x/many:1', { ...image, indexed: true });
    expect(index).not.toBe(plain);
    const asked = client(`${open.host}/x/many:1`);
    expect(await asked.digest()).toBe(index);
    expect(await asked.layers('amd64')).toEqual(await client(`${open.host}/x/one:1`).layers('amd64'));
    await expect(asked.layers('arm64')).rejects.toThrow('no image found in image index for architecture arm64');
  });

  test('that requires a token gives one to anonymous clients', async () => {
    const digest = await guarded.push('x/y:1', image);
    const asked = client(`${guarded.host}/x/y:1`);
    expect(await asked.digest()).toBe(digest);
    const [layer] = await asked.layers('amd64');
    const { url, headers } = await asked.blob(layer?.digest ?? '');
    expect((await fetch(url)).status).toBe(401);
    expect((await fetch(url, { headers })).status).toBe(200);
  });

  test('reports missing content, and its digests are verified', async () => {
    await expect(client(`${open.host}/x/y:gone`).digest()).rejects.toMatchObject({
      status: 404,
      message: `reading manifest gone in ${open.host}/x/y: manifest unknown (status code 404)`,
    });
    await expect(client('127.0.0.1:1/x').digest()).rejects.toMatchObject({ status: 0 });
    const signal = AbortSignal.abort(new Error('cancelled'));
    await expect(client(`${open.host}/x/y:1`, { signal }).digest()).rejects.toThrow('cancelled');
  });
});
