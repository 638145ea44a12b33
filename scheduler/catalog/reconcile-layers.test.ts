import { beforeAll, expect, test } from 'vitest';
import { ANNOTATIONS, LABELS } from '../../common/contracts/object-keys.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { removeImages } from '../../common/redis/layer-removal.ts';
import { nameInRecord, readLayers, restoreLayer, tagImage } from '../../common/redis/layers.ts';
import { layerRecord, layerVm } from '../../test/harness/layer-factory.ts';
import { metadata, newId, WatchedCluster } from '../../test/harness/watched-cluster.ts';
import { reconcileLayers, reconcileSome } from './reconcile-layers.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

const watched = WatchedCluster.use();

const forever = new AbortController().signal;

let cluster: ClusterClient;

let options: ClusterWatchOptions;

beforeAll(() => {
  ({ cluster, options } = watched);
});

test('reads layers back from the cluster, and forgets those that are gone', async () => {
  const { redis } = options;
  const known = async () => [...(await readLayers(redis)).layers.values()].sort((a, b) => a.version - b.version);
  const [old, renewed] = ['first', 'second'].map((name, index) =>
    layerRecord({
      layerKey: name,
      recipeKey: 'first',
      parents: ['below'],
      version: 3 + index,
      layerBuild: newId(),
      vms: [layerVm('vm', `snap-of-${name}`)],
    }),
  );
  if (!old || !renewed) throw new Error('Two layers were made up.');
  for (const record of [old, renewed]) {
    await restoreLayer(redis, record);
    await cluster.create(RESOURCES.snapshots, {
      metadata: metadata(record.layerBuild, { name: `snap-of-${record.layerKey}`, role: 'layer' }),
      spec: { source: { persistentVolumeClaimName: 'root' } },
    });
  }
  const shown = async () => {
    const { items } = await cluster.list(RESOURCES.snapshots, { labels: { [LABELS.farm]: 'test' } });
    return new Map(items.map((snapshot: VolumeSnapshot) => [snapshot.metadata?.name ?? '', snapshot]));
  };
  await reconcileLayers(options, await shown(), forever);
  const annotation = (snapshot?: VolumeSnapshot) => snapshot?.metadata?.annotations?.[ANNOTATIONS.layer] ?? '';
  expect(JSON.parse(annotation((await shown()).get('snap-of-second')))).toEqual(renewed);

  const [image] = (await readLayers(redis)).images;
  await tagImage(redis, image ?? nameInRecord(old), { tag: 'stable', by: 'ann' });
  const named = async (layerKey: string) => (await shown()).get(`snap-of-${layerKey}`)?.metadata?.annotations;
  const tagged = image?.layerKey ?? '';
  const other = await named(tagged === 'first' ? 'second' : 'first');
  await reconcileSome(options, { snapshots: await shown(), layerKeys: [tagged, 'nobody-knows'] }, forever);
  expect((await named(tagged))?.[ANNOTATIONS.names]).toContain('"tag":"stable"');
  expect(await named(tagged === 'first' ? 'second' : 'first')).toEqual(other);
  const { images, tags } = await readLayers(redis);
  expect(tags).toHaveLength(1);
  await redis.flushall();
  await reconcileLayers(options, await shown(), forever);
  expect(await known()).toEqual([old, renewed]);
  expect(await readLayers(redis)).toMatchObject({ images: expect.arrayContaining([...images]), tags });
  expect(await redis.hget(KEYS.newest, 'base')).toBe('second');

  // What was written before a recipe could have several layers is the first one of its recipe.
  const { recipeKey: _recipe, parents: _parents, ...written } = old;
  const patch = { metadata: { annotations: { [ANNOTATIONS.layer]: JSON.stringify(written) } } };
  await cluster.mergePatch(RESOURCES.snapshots, 'snap-of-first', patch);
  await redis.flushall();
  await reconcileLayers(options, await shown(), forever);
  expect(await known()).toEqual([{ ...old, parents: [] }, renewed]);

  // A watch that lags does not make the farm forget; a snapshot that is gone does.
  await reconcileLayers(options, new Map(), forever);
  expect(await known()).toHaveLength(2);
  await cluster.delete(RESOURCES.snapshots, 'snap-of-second');
  await reconcileLayers(options, new Map(), forever);
  expect((await known()).map(({ layerKey }) => layerKey)).toEqual(['first']);
  expect(await redis.hget(KEYS.newest, 'base')).toBe('first');
  await cluster.delete(RESOURCES.snapshots, 'snap-of-first');
  await reconcileSome(options, { snapshots: new Map(), layerKeys: ['first'] }, forever);
  expect(await known()).toEqual([]);
  expect(await redis.exists(KEYS.newest)).toBe(0);
});

test('clears up behind a removed layer, unless its template runs, and does not read it back', async () => {
  const { redis } = options;
  const record = layerRecord({ layerKey: 'gone', layerBuild: newId(), vms: [layerVm('vm', 'snap-of-gone')] });
  await restoreLayer(redis, record);
  await cluster.create(RESOURCES.snapshots, {
    metadata: metadata(record.layerBuild, { name: 'snap-of-gone', role: 'layer' }),
    spec: { source: { persistentVolumeClaimName: 'root' } },
  });
  const domain = { cpu: { cores: 1 }, memory: { guest: '1Gi' }, devices: {} };
  await cluster.create(RESOURCES.machines, {
    metadata: metadata(record.layerBuild, { name: 't', role: 'template' }),
    spec: { runStrategy: 'Always', template: { spec: { domain } } },
  });
  const look = async () => {
    const { items } = await cluster.list(RESOURCES.snapshots, { labels: { [LABELS.farm]: 'test' } });
    const shown = new Map(items.map((snapshot) => [snapshot.metadata?.name ?? '', snapshot]));
    return reconcileLayers(options, shown, forever);
  };
  const left = async () => [
    ...(await watched.names(RESOURCES.machines)),
    ...(await watched.names(RESOURCES.snapshots)),
  ];
  expect(await look()).toBe(true);
  expect(await removeImages(redis, [{ layerKey: 'gone', versions: ['base:1'] }])).toEqual(['removed']);
  expect(await look()).toBe(false);
  expect(await left()).toEqual(expect.arrayContaining(['t', 'snap-of-gone']));

  // It began a moment ago: a clone whose snapshot is deleted never ends.
  const source = { snapshot: { namespace: cluster.namespace, name: 'snap-of-gone' } };
  await cluster.create(RESOURCES.dataVolumes, { metadata: { name: 'clone' }, spec: { source, storage: {} } });
  await cluster.mergePatch(RESOURCES.machines, 't', { spec: { runStrategy: 'Halted' } });
  expect(await look()).toBe(false);
  expect(await look()).toBe(false);
  expect(await watched.names(RESOURCES.snapshots)).toContain('snap-of-gone');
  await cluster.delete(RESOURCES.dataVolumes, 'clone');
  await expect.poll(look).toBe(true);
  expect((await left()).filter((name) => name === 't' || name === 'snap-of-gone')).toEqual([]);
  expect((await readLayers(redis)).layers.size).toBe(0);
  expect(await redis.exists(KEYS.removed)).toBe(0);
});
