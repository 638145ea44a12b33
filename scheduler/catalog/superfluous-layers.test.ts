import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ImageName, ImageRetention, ImageTag } from '../../common/contracts/images.ts';
import type { LayerRecord } from '../../common/contracts/layers.ts';
import { layerRecord } from '../../test/harness/layer-factory.ts';
import { superfluousLayers } from './superfluous-layers.ts';

const DAY_MS = 86_400_000;
const NOW = Date.parse('2026-06-01T00:00:00.000Z');

interface Drawn {
  /** How far below in the list its parents are. */
  readonly parents: readonly number[];
  readonly module: string;
  readonly ageDays: number;
  readonly isTagged: boolean;
  readonly isNeeded: boolean;
}

/** A catalog of layers of which each has one version, the older ones first. */
function catalogOf(drawn: readonly Drawn[]) {
  const layers = new Map<string, LayerRecord>();
  const images: ImageName[] = [];
  const tags: ImageTag[] = [];
  const counts = new Map<string, number>();
  for (const [index, { parents, module, ageDays, isTagged }] of drawn.entries()) {
    const layerKey = `k${index}`;
    const version = (counts.get(module) ?? 0) + 1;
    counts.set(module, version);
    const keys = parents.map((below) => index - below).filter((parent) => parent >= 0 && parent < index);
    layers.set(
      layerKey,
      layerRecord({ layerKey, module, version, parents: [...new Set(keys)].map((key) => `k${key}`) }),
    );
    images.push({ module, version, layerKey, namedAt: new Date(NOW - ageDays * DAY_MS).toISOString(), by: null });
    if (isTagged) tags.push({ module, tag: `t${index}`, version, layerKey, setAt: '', by: '' });
  }
  const needed = drawn.flatMap(({ isNeeded }, index) => (isNeeded ? [`k${index}`] : []));
  return { catalog: { layers, images, tags }, needed };
}

/** The same by asking every layer about itself and about everything above it, the slow and plain way. */
function mustStay(drawn: readonly Drawn[], { keep, maxAgeMs, untaggedMs }: ImageRetention): Set<string> {
  if (keep === null && maxAgeMs === null && untaggedMs === null)
    return new Set(drawn.map((_layer, index) => `k${index}`));
  const stay = new Set<number>();
  const staysItself = (index: number): boolean => {
    const layer = drawn[index];
    if (!layer) return false;
    const newer = drawn.filter((other, place) => other.module === layer.module && place > index).length;
    const hasTags = drawn.some((other) => other.module === layer.module && other.isTagged);
    const limits = [hasTags ? untaggedMs : null, maxAgeMs, keep === null ? Number.POSITIVE_INFINITY : 0];
    const limit = limits.find((each) => each !== null) ?? 0;
    return layer.isTagged || layer.isNeeded || newer < (keep ?? 1) || layer.ageDays * DAY_MS <= limit;
  };
  // A child comes after its parents: from the end, what is above a layer is known already.
  for (let index = drawn.length - 1; index >= 0; index -= 1) {
    const isStoodOn = drawn.some(
      (other, place) => stay.has(place) && other.parents.some((below) => place - below === index),
    );
    if (isStoodOn || staysItself(index)) stay.add(index);
  }
  return new Set([...stay].map((index) => `k${index}`));
}

const days = fc.option(fc.integer({ min: 0, max: 40 }).map((count) => count * DAY_MS));
const retentions: fc.Arbitrary<ImageRetention> = fc.record({
  keep: fc.option(fc.integer({ min: 1, max: 4 })),
  maxAgeMs: days,
  untaggedMs: days,
});
const layersOf = (size: number) =>
  fc.array(
    fc.record({
      parents: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 2 }),
      module: fc.constantFrom('base', 'middle', 'top', 'other'),
      ageDays: fc.integer({ min: 0, max: 60 }),
      isTagged: fc.integer({ min: 0, max: 9 }).map((draw) => draw === 0),
      isNeeded: fc.integer({ min: 0, max: 19 }).map((draw) => draw === 0),
    }),
    { minLength: size, maxLength: size },
  );

/** What goes, after a look at the order: nothing goes before what is based on it. */
function goingOf(drawn: readonly Drawn[], retention: ImageRetention): Set<string> {
  const { catalog, needed } = catalogOf(drawn);
  const going = superfluousLayers(catalog, retention, { now: NOW, needed });
  const gone = new Set<string>();
  for (const { record } of going) {
    const standing = [...catalog.layers.values()].filter(({ parents }) => parents.includes(record.layerKey));
    expect(standing.every(({ layerKey }) => gone.has(layerKey))).toBe(true);
    gone.add(record.layerKey);
  }
  return gone;
}

test('removes exactly the layers that the model does not hold, for any layers and retention', () => {
  fc.assert(
    fc.property(layersOf(24), retentions, (drawn, retention) => {
      const stay = mustStay(drawn, retention);
      const all = drawn.map((_layer, index) => `k${index}`);
      expect(goingOf(drawn, retention)).toEqual(new Set(all.filter((key) => !stay.has(key))));
    }),
    { numRuns: 200 },
  );
});

test('gives the same result as the model for a thousand layers', () => {
  const retention = { keep: 2, maxAgeMs: 20 * DAY_MS, untaggedMs: 5 * DAY_MS };
  const [drawn] = fc.sample(
    layersOf(1000).map((layers) =>
      layers.map((layer, index) => ({ ...layer, isTagged: index % 97 === 0, module: `m${index % 50}` })),
    ),
    { numRuns: 1, seed: 7 },
  );
  const going = goingOf(drawn ?? [], retention);
  const stay = mustStay(drawn ?? [], retention);
  expect(going.size + stay.size).toBe(1000);
  expect(going.size).toBeGreaterThan(100);
  expect([...going].filter((key) => stay.has(key))).toEqual([]);
});

test('a layer with two names stays while one of them does', () => {
  const layers = new Map([['k', layerRecord({ layerKey: 'k' })]]);
  const old = new Date(NOW - 90 * DAY_MS).toISOString();
  const images = [
    { module: 'base', version: 1, layerKey: 'k', namedAt: old, by: null },
    { module: 'base', version: 2, layerKey: 'other', namedAt: old, by: null },
    { module: 'twin', version: 1, layerKey: 'k', namedAt: old, by: null },
  ];
  const retention = { keep: 1, maxAgeMs: null, untaggedMs: null };
  const moment = { now: NOW, needed: [] };
  expect(superfluousLayers({ layers, images, tags: [] }, retention, moment)).toEqual([]);
  const [base] = images;
  const names = superfluousLayers({ layers, images: images.slice(0, 2), tags: [] }, retention, moment);
  expect(names.map((layer) => layer.images)).toEqual([[base]]);
});

test('the retention of a module replaces the general one for its versions', () => {
  const old = new Date(NOW - 90 * DAY_MS).toISOString();
  const modules = ['kept', 'short', 'base'];
  const images = modules.flatMap((module) =>
    [1, 2, 3].map((version) => ({ module, version, layerKey: `${module}${version}`, namedAt: old, by: null })),
  );
  const layers = new Map(images.map(({ layerKey }) => [layerKey, layerRecord({ layerKey })]));
  const none = { keep: null, maxAgeMs: null, untaggedMs: null };
  const own = { kept: none, short: { ...none, keep: 1 } };
  const goingBy = (keep: number | null) =>
    superfluousLayers({ layers, images, tags: [] }, { ...none, keep, modules: own }, { now: NOW, needed: [] })
      .map(({ record }) => record.layerKey)
      .toSorted();
  expect(goingBy(2)).toEqual(['base1', 'short1', 'short2']);
  expect(goingBy(null)).toEqual(['short1', 'short2']);
});
