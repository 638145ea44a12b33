import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { layerRecord } from '../../test/harness/layer-factory.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { PHASES } from '../contracts/phases.ts';
import { KEYS } from './keys.ts';
import { forgetLayer, parseCatalog, readCatalog, readLayers, restoreLayer, tagImage, untagImage } from './layers.ts';
import { readUsage, reportCluster } from './slots.ts';
import type { BuiltModule } from './write-submission.ts';

let farm: FarmState;
let redis: Redis;
useFarmState((opened) => {
  farm = opened;
  ({ redis } = opened);
});

test('builds a child after its parent, from the record of the parent', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const child = sampleModule({ name: 'child', layerKey: 'k2', layerBuild: newId(), parents: [base] });
  const { buildId } = await farm.submit([base, child]);
  const { unfinished } = parseCatalog(await readCatalog(redis, new Set(['base'])));
  expect(unfinished.get('k1')).toMatchObject({ module: 'base', isBegun: false, spec: { layerKey: 'k1' } });
  expect(unfinished.get('k2')).toEqual({
    layerKey: 'k2',
    layerBuild: child.layerBuild,
    module: 'child',
    cluster: 'lab',
    isBegun: false,
  });
  for (const phase of PHASES) expect((await farm.runNext()).job).toMatchObject({ layerBuild: base.layerBuild, phase });
  const claim = await farm.runNext();
  expect(claim.parents['k1']).toMatchObject({
    module: 'base',
    version: 1,
    layerBuild: base.layerBuild,
    vms: [{ vm: 'vm' }],
  });
  for (let rest = 0; rest < 3; rest += 1) await farm.runNext();
  const events = await farm.events(buildId);
  expect(events.filter((event) => event.event !== 'phase-started' && event.event !== 'phase-finished')).toEqual([
    expect.objectContaining({ event: 'build-accepted', buildId, modules: ['base', 'child'] }),
    expect.objectContaining({ event: 'module-started', module: 'base', action: 'build' }),
    expect.objectContaining({ event: 'module-finished', module: 'base', outcome: 'succeeded' }),
    expect.objectContaining({ event: 'module-started', module: 'child', action: 'build' }),
    expect.objectContaining({
      event: 'module-finished',
      module: 'child',
      images: [{ vm: 'vm', disk: 'root', snapshot: 's-vm', cluster: 'lab' }],
    }),
    expect.objectContaining({ event: 'build-finished', buildId, outcome: 'succeeded' }),
  ]);
  expect((await readCatalog(redis, new Set())).newest['child']).toBe('k2');
});

test('a module that succeeds is the next version of its name, unless the newest one is that layer already', async () => {
  const versions = async () =>
    (await readLayers(redis)).images.map((image) => `${image.module}:${image.version} ${image.layerKey}`).sort();
  const reuse = (name: string, layerKey: string) =>
    farm.submit([{ action: 'reuse', name, layerKey, why: '', dependsOn: [] }]);
  const build = async (layerKey: string) => {
    await farm.submit([sampleModule({ name: 'base', layerKey, layerBuild: newId() })]);
    for (const _phase of PHASES) await farm.runNext();
    await reportCluster(redis, 'lab', { leaving: (await readUsage(redis, 'lab')).slots, observed: [] });
  };
  await build('k1');
  await reuse('base', 'k1');
  expect(await versions()).toEqual(['base:1 k1']);
  await build('k2');
  // The text is what it was before: that layer is what the name means now, as if it had been built.
  await reuse('base', 'k1');
  await reuse('twin', 'k1');
  expect(await versions()).toEqual(['base:1 k1', 'base:2 k2', 'base:3 k1', 'twin:1 k1']);
  const { newest, layers } = await readLayers(redis);
  expect(Object.fromEntries(newest)).toEqual({ base: 'k1', twin: 'k1' });

  // Who joins a layer build under another name gets a version of that name.
  const layerBuild = newId();
  await farm.submit([sampleModule({ name: 'one', layerKey: 'k3', layerBuild: layerBuild })]);
  await farm.submit([sampleModule({ name: 'two', layerKey: 'k3', layerBuild: newId() })]);
  for (const _phase of PHASES) await farm.runNext();
  expect(await versions()).toContain('two:1 k3');

  const first = layers.get('k1');
  await forgetLayer(redis, first ?? layerRecord());
  expect(await versions()).toEqual(['base:2 k2', 'one:1 k3', 'two:1 k3']);
  expect((await readLayers(redis)).newest.get('base')).toBe('k2');
  // A number is never given twice.
  await build('k1');
  expect(await versions()).toContain('base:4 k1');
});

test('a layer of a farm of before keeps the name in its record when it gets another one', async () => {
  const { createdAt, ...record } = layerRecord({ layerKey: 'k1', version: 4 });
  await redis.hset(KEYS.layers, 'k1', JSON.stringify({ ...record, createdAtMs: Date.parse(createdAt) }));
  await redis.hset(KEYS.newest, 'base', 'k1');
  await redis.hset('{farm}:versions', 'base', 4);
  const reuse = (name: string) => farm.submit([{ action: 'reuse', name, layerKey: 'k1', why: '', dependsOn: [] }]);
  const versions = async () =>
    (await readLayers(redis)).images.map(({ module, version }) => `${module}:${version}`).sort();
  await reuse('base');
  expect(await versions()).toEqual(['base:4']);
  await reuse('twin');
  expect(await versions()).toEqual(['base:4', 'twin:1']);
  expect((await readLayers(redis)).images.find(({ module }) => module === 'base')?.namedAt).toBe(createdAt);
});

test('a tag is at one version at a time, and goes with it', async () => {
  for (const [layerKey, version] of [
    ['k1', 1],
    ['k2', 2],
  ] as const)
    await restoreLayer(redis, layerRecord({ layerKey, version, layerBuild: layerKey }));
  const [one, two] = (await readLayers(redis)).images.toSorted((a, b) => a.version - b.version);
  if (!one || !two) throw new Error('Two versions were restored.');
  const order = { tag: 'stable', by: 'ann' };
  expect(await tagImage(redis, one, order)).toBeNull();
  expect(await tagImage(redis, two, order)).toBe(1);
  expect((await readLayers(redis)).tags).toMatchObject([
    { module: 'base', tag: 'stable', version: 2, layerKey: 'k2', by: 'ann' },
  ]);
  await expect(tagImage(redis, { ...one, version: 7 }, order)).rejects.toThrow('base:7 was removed');
  expect(await untagImage(redis, 'base', 'stable')).toBe(2);
  expect(await untagImage(redis, 'base', 'stable')).toBeNull();
  await tagImage(redis, two, order);
  await forgetLayer(redis, layerRecord({ layerKey: 'k2', layerBuild: 'k2' }));
  expect(await redis.exists(KEYS.tags)).toBe(0);
  await expect(tagImage(redis, two, order)).rejects.toThrow('base:2 was removed');
});

test('keeps both layers of a recipe, and starts each child from its own', async () => {
  const [old, renewed] = ['k1', 'k1-again'].map((layerKey) =>
    sampleModule({ name: 'base', layerKey, recipeKey: 'k1', layerBuild: newId() }),
  );
  if (!old || !renewed) throw new Error('Two layers were made up.');
  const childOf = (parent: BuiltModule) => {
    const parents = [{ name: 'base', layerKey: parent.layerKey }];
    return sampleModule({ name: 'child', layerKey: `child of ${parent.layerKey}`, layerBuild: newId(), parents });
  };
  await farm.submit([old, childOf(old)]);
  for (const _phase of [...PHASES, ...PHASES]) await farm.runNext();
  // Asked for twice at the same time it is planned twice and built once.
  const [first, second] = [await farm.submit([renewed]), await farm.submit([{ ...renewed, layerBuild: newId() }])];
  expect([first.reply, second.reply]).toMatchObject([
    { modules: [{ action: 'build', layerBuild: renewed.layerBuild }] },
    { modules: [{ action: 'join', layerBuild: renewed.layerBuild }] },
  ]);
  for (const _phase of PHASES) await farm.runNext();
  const { layers, newest } = await readLayers(redis);
  expect(
    [...layers.values()]
      .map(({ module, version, layerKey, recipeKey, parents }) => [
        `${module}:${version}`,
        ...[layerKey, recipeKey, parents],
      ])
      .sort(),
  ).toEqual([
    ['base:1', 'k1', 'k1', []],
    ['base:2', 'k1-again', 'k1', []],
    ['child:1', 'child of k1', 'child of k1', ['k1']],
  ]);
  expect(newest).toEqual(
    new Map([
      ['base', 'k1-again'],
      ['child', 'child of k1'],
    ]),
  );
  await farm.submit([childOf(renewed)]);
  const claim = await farm.claim((await farm.take())[0]);
  expect(Object.values(claim.parents).map(({ version }) => version)).toEqual([2]);
});

test('a layer build that was submitted before recipes existed makes the first layer of its recipe', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  await farm.submit([base]);
  await redis.hdel(KEYS.layerBuild(base.layerBuild), 'recipeKey');
  for (const _phase of PHASES) await farm.runNext();
  expect((await readLayers(redis)).layers.get('k1')).toMatchObject({ recipeKey: 'k1' });
});
