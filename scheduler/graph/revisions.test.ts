import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { catalogAfter } from '../../test/harness/layer-factory.ts';
import { buildRef, compiledModule, shell } from '../../test/harness/module-factory.ts';
import { expandGraph, type GraphOptions, type GraphPlan } from './expand.ts';
import { type Catalog, EMPTY_CATALOG, offlineFacts } from './facts.ts';

const DAY_MS = 86_400_000;
const base = compiledModule({ name: 'base', vms: [{ steps: [shell('one')] }] });
const web = compiledModule({ name: 'web', vms: [{ source: buildRef('base') }] });
const app = compiledModule({ name: 'app', vms: [{ source: buildRef('web') }] });
const STACK = [base, web, app];

function expand(modules: readonly CompiledModule[], catalog: Catalog = EMPTY_CATALOG, options: GraphOptions = {}) {
  return expandGraph({ modules, catalog, options, facts: offlineFacts(modules), fingerprint: String });
}

/** A farm on which everything that is planned is built at once. */
class Farm {
  catalog: Catalog = EMPTY_CATALOG;

  build(modules: readonly CompiledModule[], options: GraphOptions = {}): GraphPlan {
    const graph = expand(modules, this.catalog, options);
    this.catalog = catalogAfter({ ...this.catalog, now: this.catalog.now + 1000 }, graph, modules);
    return graph;
  }

  pass(ms: number): void {
    this.catalog = { ...this.catalog, now: this.catalog.now + ms };
  }

  /** Its snapshots are gone. */
  lose(layerKey: string): void {
    const layers = Object.fromEntries(Object.entries(this.catalog.layers).filter(([key]) => key !== layerKey));
    const newest: Record<string, string> = {};
    for (const { module, version, layerKey: key } of Object.values(layers)) {
      if (version > (layers[newest[module] ?? '']?.version ?? 0)) newest[module] = key;
    }
    this.catalog = { ...this.catalog, layers, newest };
  }
}

const rows = ({ plan }: GraphPlan) => plan.modules.map(({ name, action, why }) => `${name}: ${action} (${why})`);
const keys = ({ plan }: GraphPlan) => plan.modules.map(({ layerKey }) => layerKey);

describe('a module that is rebuilt', () => {
  test('is another layer, and so is all that is based on it; afterwards both are there and the newer is reused', () => {
    const farm = new Farm();
    const first = farm.build(STACK);
    expect(rows(first)).toEqual([
      'base: build (not built before)',
      'web: build (parent base is built)',
      'app: build (parent web is built)',
    ]);
    const second = farm.build(STACK, { rebuild: ['base'] });
    expect(rows(second)).toEqual([
      'base: build (rebuilt by --rebuild)',
      'web: build (parent base is rebuilt)',
      'app: build (parent web is rebuilt)',
    ]);
    expect(keys(second).filter((key) => keys(first).includes(key))).toEqual([]);
    expect(Object.keys(farm.catalog.layers)).toHaveLength(6);
    farm.pass(2 * DAY_MS);
    const third = farm.build(STACK);
    expect(rows(third)).toEqual([
      'base: reuse (base:2, built 1970-01-01 00:00 UTC)',
      'web: reuse (web:2, built 1970-01-01 00:00 UTC)',
      'app: reuse (app:2, built 1970-01-01 00:00 UTC)',
    ]);
    expect(keys(third)).toEqual(keys(second));
  });

  test('is distinguished from one that has changed, and from one whose parent has', () => {
    const farm = new Farm();
    farm.build(STACK);
    const changed = compiledModule({ name: 'web', vms: [{ source: buildRef('base'), steps: [shell('two')] }] });
    expect(rows(farm.build([base, changed]))[1]).toBe('web: build (changed since web:1)');
    farm.build([base], { rebuild: ['base'] });
    expect(rows(expand([base, app, changed], farm.catalog))[1]).toBe(
      'web: build (web:2 is based on another version of base)',
    );
  });

  test('alone leaves its children as they are, with a warning', () => {
    const farm = new Farm();
    farm.build(STACK);
    expect(farm.build([base], { rebuild: ['base'] }).plan.warnings).toEqual([
      'web:1 is not rebuilt and stays based on base:1, which this build replaces',
    ]);
    expect(farm.build([base], { rebuild: ['base'] }).plan.warnings).toEqual([]);
    expect(farm.build(STACK).plan.warnings).toEqual([]);
  });

  test('with --no-cache is rebuilt with all others', () => {
    const farm = new Farm();
    farm.build(STACK);
    const second = farm.build(STACK, { noCache: true });
    expect(new Set(rows(second).map((row) => row.replace(/^\w+: /, '')))).toEqual(
      new Set(['build (rebuilt by --no-cache)']),
    );
  });

  test('is one layer for all requests before it begins, and another one for later requests', () => {
    const farm = new Farm();
    farm.build([base]);
    const [plan] = expand([base], farm.catalog, { rebuild: ['base'] }).plan.modules;
    const flying = (isBegun: boolean): Catalog => {
      return { ...farm.catalog, building: new Map([[plan?.layerKey ?? '', { isBegun }]]) };
    };
    const again = (isBegun: boolean, options: GraphOptions = { rebuild: ['base'] }) =>
      expand([base, web], flying(isBegun), options);
    expect(rows(again(false))[0]).toBe('base: join (is being built already)');
    expect(keys(again(false))[0]).toBe(plan?.layerKey);
    expect(rows(again(true))[0]).toBe('base: build (rebuilt by --rebuild)');
    expect(keys(farm.build([base]))).not.toContain(keys(again(true))[0]);
    expect(keys(again(true))[0]).not.toBe(plan?.layerKey);
    // Who does not ask takes what is there.
    expect(rows(again(true, {}))[0]).toMatch(/^base: reuse/);
  });

  test('whose layer is gone does not pass for the layer that others are based on', () => {
    const farm = new Farm();
    const [lost = ''] = keys(farm.build(STACK));
    farm.lose(lost);
    const again = farm.build(STACK);
    expect(again.plan.modules.map(({ action }) => action)).toEqual(['build', 'build', 'build']);
    expect(keys(again)).not.toContain(lost);
    expect(farm.build(STACK).plan.modules.map(({ action }) => action)).toEqual(['reuse', 'reuse', 'reuse']);
  });
});

describe('maxAge', () => {
  const aging = { ...base, maxAgeMs: 7 * DAY_MS };

  test('is not part of a key', () => {
    expect(keys(expand([aging]))).toEqual(keys(expand([base])));
  });

  test('rebuilds what is older, and what is based on it', () => {
    const farm = new Farm();
    farm.build([aging, web]);
    farm.pass(7 * DAY_MS - 1000);
    expect(rows(expand([aging, web], farm.catalog))[0]).toBe('base: reuse (base:1, built 1970-01-01 00:00 UTC)');
    farm.pass(1001);
    expect(rows(expand([base, web], farm.catalog))[0]).toBe('base: reuse (base:1, built 1970-01-01 00:00 UTC)');
    const rebuilt = farm.build([aging, web]);
    expect(rows(rebuilt)).toEqual(['base: build (older than 7d)', 'web: build (parent base is rebuilt)']);
    expect(rows(farm.build([aging, web]))).toEqual([
      'base: reuse (base:2, built 1970-01-08 00:00 UTC)',
      'web: reuse (web:2, built 1970-01-08 00:00 UTC)',
    ]);
  });

  test('joins a running rebuild', () => {
    const farm = new Farm();
    farm.build([aging]);
    farm.pass(8 * DAY_MS);
    const [layerKey = ''] = keys(expand([aging], farm.catalog));
    const catalog = { ...farm.catalog, building: new Map([[layerKey, { isBegun: true }]]) };
    expect(rows(expand([aging], catalog))).toEqual(['base: join (is being built already)']);
  });

  const image = { kind: 'containerDisk', image: `quay.io/a/b@sha256:${'0'.repeat(64)}` } as const;
  const iso = {
    url: 'https://images.example/a.iso',
    credentials: null,
    checksum: { algorithm: 'md5', hex: 'aa' },
  } as const;
  test.each([
    ['a source', { source: { ...image, maxAgeMs: 36 * 3_600_000 } }],
    ['an ISO', { source: image, isos: [iso, { ...iso, maxAgeMs: 36 * 3_600_000 }] }],
  ])('of %s counts as well', (_what, vm) => {
    const module = compiledModule({ name: 'base', maxAgeMs: 7 * DAY_MS, vms: [vm] });
    const farm = new Farm();
    farm.build([module]);
    farm.pass(2 * DAY_MS);
    expect(rows(farm.build([module]))).toEqual(['base: build (older than 36h)']);
  });

  test('sets how long a source that cannot be checked counts as unchanged', () => {
    const volume = { kind: 'sourcePvc', name: 'golden', namespace: null } as const;
    const farm = new Farm();
    const golden = compiledModule({ name: 'base', vms: [{ source: { ...volume, maxAgeMs: DAY_MS } }] });
    farm.build([golden]);
    expect(rows(farm.build([golden]))).toEqual(['base: reuse (base:1, built 1970-01-01 00:00 UTC)']);
    farm.pass(2 * DAY_MS);
    expect(rows(farm.build([golden]))).toEqual(['base: build (older than 1d)']);
    const url = 'https://images.example/latest.qcow2';
    const source = { kind: 'url', url, credentials: null, checksum: null, maxAgeMs: DAY_MS } as const;
    const latest = new Farm().build([compiledModule({ name: 'base', vms: [{ source }] })]).layers['base'];
    // No other module shares the import, so a rebuild imports it again.
    expect(latest).toMatchObject({ provisional: false, spec: { vms: [{ disks: [{ origin: { identity: null } }] }] } });
    const loose = compiledModule({ name: 'base', maxAgeMs: DAY_MS, vms: [{ source: volume }] });
    expect(rows(farm.build([loose]))).toEqual([
      'base: build (its content cannot be identified, so it may have changed)',
    ]);
  });
});

/** A graph, and what happens to the farm that builds it. */
const history = fc.integer({ min: 1, max: 7 }).chain((size) => {
  const names = Array.from({ length: size }, (_, n) => `m${n}`);
  const modules = fc.tuple(...names.map((_, n) => fc.array(fc.nat(), { maxLength: n === 0 ? 0 : 2 })));
  const step = fc.record({
    rebuild: fc.subarray(names, { maxLength: 1 }),
    noCache: fc.constantFrom(false, false, false, true),
    hours: fc.nat({ max: 40 }),
    lost: fc.option(fc.nat()),
    aging: fc.subarray(names),
  });
  return fc.record({ parents: modules, steps: fc.array(step, { minLength: 1, maxLength: 5 }) });
});

test('after any history, every layer that is built or reused has the parents that the same plan names', () => {
  fc.assert(
    fc.property(history, ({ parents, steps }) => {
      const farm = new Farm();
      for (const { rebuild, noCache, hours, lost, aging } of steps) {
        const modules = parents.map((chosen, n) => {
          // Each module has a recipe of its own.
          const steps = [shell(`m${n}`)];
          const vms = chosen.map((choice, v) => ({ name: `v${v}`, steps, source: buildRef(`m${choice % n}`, 'v0') }));
          const maxAgeMs = aging.includes(`m${n}`) ? DAY_MS : null;
          return compiledModule({ name: `m${n}`, maxAgeMs, vms: vms.length === 0 ? [{ name: 'v0', steps }] : vms });
        });
        farm.pass(hours * 3_600_000);
        const before = farm.catalog;
        const graph = farm.build(modules, { rebuild, noCache });
        const byName = new Map(graph.plan.modules.map((row) => [row.name, row]));
        for (const row of graph.plan.modules) {
          const above = row.dependsOn.flatMap((name) => byName.get(name) ?? []);
          const standsOn = new Set(above.map(({ layerKey }) => layerKey));
          expect(new Set(farm.catalog.layers[row.layerKey]?.parents)).toEqual(standsOn);
          const mustBeNew = noCache || rebuild.includes(row.name) || above.some(({ action }) => action === 'build');
          if (mustBeNew) expect(row.action).not.toBe('reuse');
          if (row.action === 'build') {
            // No layer of another content had this key and still exists or has children.
            expect(before.layers[row.layerKey]).toBeUndefined();
            expect(Object.values(before.layers).flatMap((record) => record.parents)).not.toContain(row.layerKey);
          } else if (row.action === 'reuse' && aging.includes(row.name)) {
            const builtAt = Date.parse(before.layers[row.layerKey]?.createdAt ?? '');
            expect(before.now - builtAt).toBeLessThanOrEqual(DAY_MS);
          }
        }
        const still = modules.map((module) => ({ ...module, maxAgeMs: null }));
        expect(farm.build(still).plan.modules.map(({ action }) => action)).toEqual(still.map(() => 'reuse'));
        const all = Object.keys(farm.catalog.layers);
        if (lost !== null) farm.lose(all[lost % all.length] ?? '');
      }
    }),
    { numRuns: 25 },
  );
});
