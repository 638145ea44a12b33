import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { readUsage, reportCluster } from '../../common/redis/slots.ts';
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

test('what a build ends with are versions, and each says who made it and what stands on it', async () => {
  const { client } = api;
  await build(MODULES, api.as(await api.tokenOf('builder')));
  await build(CHANGED);
  // As it was: the name means the layer of before, under a new number.
  await build();
  expect((await client.images('base')).map(({ version }) => version)).toEqual([3, 2, 1]);
  expect(await client.image('base')).toMatchObject({
    ...{ module: 'base', version: 3, current: true, by: 'bootstrap', sizeBytes: 1024 },
    children: [{ module: 'child', version: 3, current: true }],
  });
  expect(await client.image('base:1')).toMatchObject({ current: false, by: 'the-builder' });
  expect((await client.image('base:1')).layerKey).toBe((await client.image('base')).layerKey);
  await expect(client.image('base:9')).rejects.toThrow('There is no image base:9; versions of base: 1, 2, 3.');
  await expect(client.image('bass')).rejects.toThrow('There is no image of a module "bass"; did you mean "base"?');
  await expect(client.image('base@')).rejects.toThrow('"base@" names no image');
});

test('a tag moves, and what is pinned to it stands on the version that has it', async () => {
  const { client } = api;
  await build();
  const first = await client.image('base:1');
  expect(await client.tagImage('base', 'stable', 1)).toMatchObject({
    version: 1,
    formerVersion: null,
    by: 'bootstrap',
  });
  await build(CHANGED);
  const app = (buildRef: string) => `
name: app
vms: [{ name: vm, source: { buildRef: { name: base, ${buildRef} } } }]`;
  const parentsOf = async () => (await client.image('app')).parents;
  await build(`${CHANGED}---${app('tag: stable')}`);
  expect(await parentsOf()).toEqual([first.layerKey]);
  await build(app('version: 2'));
  expect(await parentsOf()).toEqual([(await client.image('base:2')).layerKey]);

  expect(await client.tagImage('base', 'stable', 2)).toMatchObject({ formerVersion: 1 });
  expect(await client.image('base@stable')).toMatchObject({ version: 2, tags: ['stable'] });
  await expect(build(app('tag: testing'))).rejects.toThrow(
    'Module "app": VM "vm" starts from base@testing, which is not there: there are base:1, base:2, base@stable',
  );
  const viewer = api.as(await api.tokenOf('viewer'));
  await expect(viewer.tagImage('base', 'mine', 1)).rejects.toThrow('needs the role builder');
  await expect(client.tagImage('base', '1st', 1)).rejects.toThrow('A tag begins with a letter');
  await expect(client.tagImage('base', 'stable', 9)).rejects.toThrow('There is no image base:9');
  await client.untagImage('base', 'stable');
  await expect(client.image('base@stable')).rejects.toThrow('There is no image base@stable; tags of base: none.');
  await expect(client.untagImage('base', 'stable')).rejects.toThrow('No version of "base" has the tag "stable".');
  expect(api.audited().flatMap(({ what, subject }) => (subject ? `${what} ${subject}` : []))).toEqual([
    ...['tagImage base@stable', 'tagImage base@stable', 'createToken the-viewer', 'untagImage base@stable'],
  ]);
});

test('the command line shows images and moves tags', async () => {
  await build();
  await build(CHANGED);
  expect(await slipway('image', 'tag', 'base:1', 'stable')).toBe('base@stable is base:1.\n0');
  expect(await slipway('image', 'tag', 'base', 'stable')).toBe('base@stable is base:2 (before: base:1).\n0');
  expect(await slipway('images', 'base')).toMatch(/^base:2 +current +stable .* child:2 +lab /m);
  const shown = await slipway('image', 'show', 'base@stable');
  expect(shown).toMatch(/^image +base:2 \(current\)$/m);
  expect(shown).toMatch(/^tags +stable$/m);
  expect(shown).toMatch(/^children +child:2$/m);
  expect(shown).toMatch(/^vm +root +\S+ MiB +virtio +s +t-s +bios$/m);
  expect(await slipway('image', 'untag', 'base@stable')).toBe('base@stable is no more.\n0');
  expect(await slipway('image', 'untag', 'base')).toMatch(/"base" names no tag: write NAME@TAG\.[\s\S]*1$/);
});
