import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { restoreLayer } from '../../common/redis/layers.ts';
import { readUsage, reportCluster } from '../../common/redis/slots.ts';
import { layerRecord } from '../harness/layer-factory.ts';
import { LAB, type LiveApi, MODULES, startApi, TOKEN } from './live-api.ts';

let api: LiveApi;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(() => api.reset());

afterAll(() => api.close());

const CHANGED = MODULES.replace('cpu: 1', 'cpu: 2');

/** Builds to the end. */
async function build(modules = MODULES, client = api.client): Promise<void> {
  await client.submit({ files: [{ path: 'lab.yaml', text: modules }], variables: {} });
  await api.work();
  const { slots } = await readUsage(api.redis, LAB.name);
  await reportCluster(api.redis, LAB.name, { leaving: slots, observed: [] });
}

/** What a command prints, and how it ends. */
async function slipway(...args: readonly string[]): Promise<string> {
  const [node, main] = programCommand('cli/main');
  const child = spawn(node, [main, ...args, '--url', api.url], {
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', SLIPWAY_TOKEN: TOKEN },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return `${stdout}${stderr}${child.exitCode}`;
}

test('an image has provenance in the form of in-toto and SLSA, without secrets', async () => {
  await build();
  const statement = JSON.parse((await slipway('image', 'show', 'child', '--provenance')).replace(/0$/, ''));
  const parent = await api.client.images.read('base');
  const { layerKey, layerBuild, createdAt } = await api.client.images.read('child');
  expect(statement).toMatchObject({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'child:1/vm/root', digest: { slipwayLayer: layerKey } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        externalParameters: { module: 'child', definition: { name: 'child' } },
        resolvedDependencies: [{ uri: 'slipway:base:1', digest: { slipwayLayer: parent.layerKey } }],
      },
      runDetails: {
        metadata: { invocationId: expect.stringContaining(`${layerBuild}/`), finishedOn: createdAt },
        slipway_by: 'bootstrap',
        slipway_changedByHand: false,
      },
    },
  });
  const ofParent = JSON.stringify(await api.client.images.provenance('base'));
  expect(ofParent).toContain('"sshPassword":"***"');
  await expect(api.as(await api.tokenOf('viewer')).images.provenance('base')).rejects.toThrow('needs the role builder');
  // What is left of it when the build is forgotten.
  await api.redis.del(KEYS.layerBuild((await api.client.images.read('base')).layerBuild));
  expect((await api.client.images.provenance('base')).predicate.buildDefinition).toMatchObject({
    externalParameters: { module: 'base', definition: null },
    resolvedDependencies: [],
  });
});

test('a disk image becomes a version without a machine, from a local file that is sent first', async () => {
  const { client } = api;
  const content = Buffer.alloc(1024, 'disk');
  const sha256 = hash('sha256', content);
  const order = { source: { sha256, sizeBytes: content.length }, firmware: 'efi', sshUsername: 'me' } as const;
  await expect(client.images.import('brought', order, 'k1')).rejects.toMatchObject({ code: 'BlobMissing' });
  const upload = { content: Readable.from([content]), offset: 0, sizeBytes: content.length };
  await client.putBlob(sha256, upload);
  const { buildId, plan } = await client.images.import('brought', order, 'k1');
  expect(plan.modules[0]?.jobs.map(({ phase }) => phase)).toEqual(['import', 'snapshot']);
  expect((await client.images.import('brought', order, 'k1')).buildId).toBe(buildId);
  await api.work();
  const [module] = (await client.build(buildId)).modules;
  expect(module).toMatchObject({ state: 'succeeded', vms: [{ phases: [{ phase: 'import' }, { phase: 'snapshot' }] }] });
  expect(await client.images.read('brought')).toMatchObject({ version: 1, current: true });
  // The same content again is the version that is there.
  expect((await client.images.import('brought', order, 'k2')).plan.modules[0]?.action).toBe('reuse');
  await expect(client.images.import('No Name', order, 'k3')).rejects.toThrow(
    '"No Name" is not a DNS label: use at most 63 lower-case letters, digits and inner hyphens',
  );
  await expect(api.as(await api.tokenOf('viewer')).images.import('brought', order, 'k4')).rejects.toThrow('builder');
});

test('the results of a build are versions, each with its builder and its children', async () => {
  const { client } = api;
  await build(MODULES, api.as(await api.tokenOf('builder')));
  await build(CHANGED);
  // As it was: the name means the layer of before, under a new number.
  await build();
  expect((await client.images.list('base')).map(({ version }) => version)).toEqual([3, 2, 1]);
  expect(await client.images.read('base')).toMatchObject({
    ...{ module: 'base', version: 3, current: true, by: 'bootstrap', sizeBytes: 1024 },
    ...{ ownBytes: null, usedBytes: null },
    children: [{ module: 'child', version: 3, current: true }],
  });
  expect(await client.images.read('base:1')).toMatchObject({ current: false, by: 'the-builder' });
  expect((await client.images.read('base:1')).layerKey).toBe((await client.images.read('base')).layerKey);
  await expect(client.images.read('base:9')).rejects.toThrow('Image base:9 not found; versions of base: 1, 2, 3.');
  await expect(client.images.read('bass')).rejects.toThrow('Module "bass" has no images; did you mean "base"?');
  await expect(client.images.read('base@')).rejects.toThrow('"base@" is not an image');
});

test('a tag moves, and what is pinned to it is based on the version that has it', async () => {
  const { client } = api;
  await build();
  const first = await client.images.read('base:1');
  expect(await client.images.tag('base', 'stable', 1)).toMatchObject({
    version: 1,
    formerVersion: null,
    by: 'bootstrap',
  });
  await build(CHANGED);
  const app = (buildRef: string) => `
name: app
vms: [{ name: vm, source: { buildRef: { name: base, ${buildRef} } } }]`;
  const parentsOf = async () => (await client.images.read('app')).parents;
  await build(`${CHANGED}---${app('tag: stable')}`);
  expect(await parentsOf()).toEqual([first.layerKey]);
  await build(app('version: 2'));
  expect(await parentsOf()).toEqual([(await client.images.read('base:2')).layerKey]);

  expect(await client.images.tag('base', 'stable', 2)).toMatchObject({ formerVersion: 1 });
  expect(await client.images.read('base@stable')).toMatchObject({ version: 2, tags: ['stable'] });
  await expect(build(app('tag: testing'))).rejects.toThrow(
    'Module "app": VM "vm" starts from base@testing, which does not exist: there are base:1, base:2, base@stable',
  );
  const viewer = api.as(await api.tokenOf('viewer'));
  await expect(viewer.images.tag('base', 'mine', 1)).rejects.toThrow('needs the role builder');
  await expect(client.images.tag('base', '1st', 1)).rejects.toThrow('A tag begins with a letter');
  await expect(client.images.tag('base', 'stable', 9)).rejects.toThrow('Image base:9 not found');
  await client.images.untag('base', 'stable');
  await expect(client.images.read('base@stable')).rejects.toThrow('Image base@stable not found; tags of base: none.');
  await expect(client.images.untag('base', 'stable')).rejects.toThrow('No version of "base" has the tag "stable".');
  expect(api.audited().flatMap(({ what, subject }) => (subject ? `${what} ${subject}` : []))).toEqual([
    ...['tagImage base@stable', 'tagImage base@stable', 'createToken the-viewer', 'untagImage base@stable'],
  ]);
});

test('the command line shows images and moves tags', { timeout: 90_000 }, async () => {
  await build();
  await build(CHANGED);
  expect(await slipway('image', 'tag', 'base:1', 'stable')).toBe('base@stable is base:1.\n0');
  expect(await slipway('image', 'tag', 'base', 'stable')).toBe('base@stable is base:2 (before: base:1).\n0');
  expect(await slipway('images', 'base')).toMatch(/^base:2 +current +stable .* child:2 +lab /m);
  expect(await slipway('images', 'bass')).toBe('No image is called "bass": `slipway images` lists all.\n0');
  const shown = await slipway('image', 'show', 'base@stable');
  expect(shown).toMatch(/^image +base:2 \(current\)$/m);
  expect(shown).toMatch(/^tags +stable$/m);
  expect(shown).toMatch(/^children +child:2$/m);
  expect(shown).toMatch(/^vm +root +1 KiB +virtio +s +t-s +bios$/m);
  expect(await slipway('image', 'untag', 'base@stable')).toBe('Removed the tag base@stable.\n0');
  expect(await slipway('image', 'untag', 'base')).toMatch(/"base" has no tag: write NAME@TAG\.[\s\S]*1$/);
});

test('a version is removed unless something is based on it, is tagged to it or is being made from it', async () => {
  const { client, redis } = api;
  await build();
  await build(CHANGED);
  await expect(client.images.remove('base:1')).rejects.toThrow('base:1 is in use: child:1 is based on it.');
  await client.images.tag('child', 'stable', 1);
  await expect(client.images.remove('child:1')).rejects.toThrow('child:1 is in use: it has the tag stable.');
  const { layerKey } = await client.images.read('base:1');
  expect(await client.images.remove('child@stable', { force: true })).toMatchObject({ module: 'child', version: 1 });
  expect(await client.images.remove('base:1')).toMatchObject({ version: 1, layerKey, cluster: 'lab', sizeBytes: 1024 });
  await expect(client.images.remove('base:1')).rejects.toThrow('Image base:1 not found; versions of base: 2.');
  expect(await redis.hlen(KEYS.removed)).toBe(2);

  const app = 'name: app\nvms: [{ name: vm, source: { buildRef: { name: base } } }]';
  await client.submit({ files: [{ path: 'app.yaml', text: app }], variables: {} });
  const removal = client.images.remove('base', { force: true });
  await expect(removal).rejects.toThrow('running builds of app start from it; child:2 is based on it.');
  await api.work();
  await client.images.remove('base', { force: true });
  // Its number is not given again, and what was based on it is still there.
  await build();
  expect((await client.images.list()).map(({ module, version }) => `${module}:${version}`).sort()).toEqual([
    ...['app:1', 'base:3', 'child:2', 'child:3'],
  ]);
  const viewer = api.as(await api.tokenOf('viewer'));
  await expect(viewer.images.remove('base')).rejects.toThrow('needs the role builder');
  expect(api.audited().flatMap(({ what, subject }) => (what === 'removeImage' && subject ? [subject] : []))).toEqual([
    ...['child:1', 'base:1', 'base:2'],
  ]);
});

test('a version that is one of several names of a layer goes without the layer', async () => {
  const { client, redis } = api;
  await build();
  await build(MODULES.replaceAll('base', 'floor'));
  expect((await client.images.read('floor')).layerKey).toBe((await client.images.read('base')).layerKey);
  await client.images.remove('base');
  expect(await client.images.read('floor')).toMatchObject({ version: 1, children: [{ module: 'child' }] });
  expect(await redis.exists(KEYS.removed)).toBe(0);
  await expect(client.images.remove('floor')).rejects.toThrow('child:1 is based on it');
});

test('a thousand layers are pruned down to what is asked for, and a dry run touches none', async () => {
  const { client, redis } = api;
  for (let index = 0; index < 1000; index += 1) {
    const parents = index % 10 === 0 ? [] : [`k${index - 1}`];
    const made = { module: `m${index % 10}`, version: Math.floor(index / 10) + 1, layerBuild: `b${index}`, parents };
    await restoreLayer(redis, layerRecord({ layerKey: `k${index}`, ...made }));
  }
  await expect(client.images.prune({})).rejects.toThrow('`retention.images` is not configured');
  await client.images.tag('m4', 'stable', 20);
  const planned = await client.images.prune({ keep: 3, dryRun: true });
  // Three chains of ten layers are the newest, and of one the lower half is under the tag.
  expect(planned.images).toHaveLength(1000 - 30 - 5);
  expect(await redis.hlen(KEYS.layers)).toBe(1000);
  const pruned = await client.images.prune({ keep: 3 });
  expect(pruned.images).toEqual(planned.images);
  expect(await redis.hlen(KEYS.layers)).toBe(35);
  expect((await client.images.list()).filter(({ version }) => version < 98)).toHaveLength(5);
  expect((await client.images.prune({ keep: 3 })).images).toEqual([]);
  expect((await client.images.prune({ maxAge: '400d' })).images).toEqual([]);
  await expect(client.images.prune({ maxAge: 'soon' })).rejects.toThrow('"soon" is not a duration');
});

test('the command line removes and prunes', async () => {
  await build();
  await build(CHANGED);
  expect(await slipway('image', 'rm', 'base:1')).toMatch(/^error: base:1 is in use: child:1 is based on it\.[\s\S]*1$/);
  expect(await slipway('image', 'prune', '--keep', '1', '--dry-run')).toMatch(
    /^child:1 [\s\S]*^base:1 [\s\S]*^2 images would be removed\.\n0$/m,
  );
  expect(await slipway('image', 'prune', '--keep', '1')).toMatch(/^2 images removed\.\n0$/m);
  expect(await slipway('image', 'rm', 'child', 'base:2')).toBe('child:2 is removed.\nbase:2 is removed.\n0');
});
