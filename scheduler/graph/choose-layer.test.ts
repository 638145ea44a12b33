import { describe, expect, test } from 'vitest';
import type { CompiledModule, NicModel } from '../../common/contracts/module/compiled.ts';
import type { Plan } from '../../common/contracts/plans.ts';
import { catalogOf } from '../../test/harness/layer-factory.ts';
import { buildRef, compiledModule, nic, shell } from '../../test/harness/module-factory.ts';
import { expandGraph, type GraphOptions, type GraphPlan } from './expand.ts';
import { type Catalog, EMPTY_CATALOG, offlineFacts } from './facts.ts';

function expand(modules: readonly CompiledModule[], catalog: Catalog = EMPTY_CATALOG, options: GraphOptions = {}) {
  return expandGraph({ modules, catalog, options, facts: offlineFacts(modules), fingerprint: String });
}

describe('what is done about a module', () => {
  const base = compiledModule({ name: 'base', vms: [{ steps: [shell('one')] }] });
  const web = compiledModule({ name: 'web', vms: [{ source: buildRef('base') }] });
  const actions = (plan: Plan) => Object.fromEntries(plan.modules.map((row) => [row.name, row.action]));
  const catalog = catalogOf(expand([base, web]), [base, web]);

  test('a change in a module rebuilds what is above it, through the keys alone', () => {
    expect(actions(expand([base, web], catalog).plan)).toEqual({ base: 'reuse', web: 'reuse' });
    const changed = { ...base, vms: base.vms.map((vm) => ({ ...vm, steps: [shell('two')] })) };
    expect(actions(expand([changed, web], catalog).plan)).toEqual({ base: 'build', web: 'build' });
  });

  test('a layer that is being built is joined, and has no jobs of its own', () => {
    const building = new Map([[expand([base]).layers['base']?.layerKey ?? '', { isBegun: true }]]);
    const { plan } = expand([base, web], { ...EMPTY_CATALOG, building });
    expect(actions(plan)).toEqual({ base: 'join', web: 'build' });
    expect(plan.modules.map((row) => row.jobs.length)).toEqual([0, 4]);
    expect(plan.modules[1]?.jobs[0]?.dependsOn).toEqual([]);
  });

  test('two modules that make the same layer are built once, and what starts from the second waits for the first', () => {
    const twin = { ...base, name: 'twin' };
    const vms = [
      { name: 'a', source: buildRef('twin') },
      { name: 'b', source: buildRef('base') },
    ];
    const { plan } = expand([base, twin, compiledModule({ name: 'app', vms })]);
    expect(actions(plan)).toEqual({ base: 'build', twin: 'join', app: 'build' });
    expect(plan.modules[2]?.jobs[0]?.dependsOn).toEqual(['base.main.snapshot']);
  });

  test('a parent that is not submitted is the newest built version', () => {
    const { plan, layers } = expand([web], catalog);
    expect(plan.modules).toMatchObject([{ name: 'web', action: 'reuse', dependsOn: [] }]);
    expect(layers['web']?.parents).toEqual([catalog.newest['base']]);
    expect(layers['web']?.spec?.vms[0]?.disks).toEqual([
      {
        name: 'disk',
        sizeBytes: null,
        bus: 'virtio',
        storageClass: null,
        origin: { kind: 'layer', layerKey: catalog.newest['base'], vm: 'main', disk: 'disk' },
      },
    ]);
  });

  test('a pinned parent is that version, also where the module is built along', () => {
    const { layerKey } = catalog.layers[catalog.newest['base'] ?? ''] ?? { layerKey: '' };
    const changed = compiledModule({ name: 'base', vms: [{ steps: [shell('echo changed')] }] });
    const pinned = (image: string) =>
      compiledModule({
        name: 'app',
        vms: [
          {
            source: { kind: 'buildRef', module: 'base', vm: null, namespace: null, image },
            steps: [shell('echo app')],
          },
        ],
      });
    const known = { ...catalog, images: { 'base:1': layerKey, 'base@stable': layerKey } };
    for (const image of ['base:1', 'base@stable']) {
      const { plan, layers } = expand([changed, pinned(image)], known);
      expect(plan.modules).toMatchObject([{ name: 'base' }, { name: 'app', action: 'build', dependsOn: [] }]);
      expect(layers['app']?.parents).toEqual([layerKey]);
    }
    expect(() => expand([changed, pinned('base:7')], known)).toThrow(
      'VM "main" starts from base:7, which does not exist: there are base:1, base@stable',
    );
  });

  test('a module that starts from a source that cannot be checked is never reused, nor are its dependents', () => {
    const url = 'https://images.example/latest.qcow2';
    const loose = compiledModule({
      name: 'base',
      vms: [{ source: { kind: 'url', url: `${url}?signature=hunter2`, credentials: null, checksum: null } }],
    });
    const again = expand([loose, web], catalogOf(expand([loose, web]), [loose, web]));
    expect(actions(again.plan)).toEqual({ base: 'build', web: 'build' });
    expect(again.layers['web']?.provisional).toBe(true);
    expect(again.plan.warnings).toEqual([
      `Module "base": the identity of ${url} is not resolved; layerKey is provisional`,
    ]);
  });

  test('a source that cannot be checked gives another layer every time, also to modules that are built on it later', () => {
    const volume = { kind: 'sourcePvc', name: 'golden', namespace: null } as const;
    const golden = compiledModule({ name: 'base', vms: [{ source: volume }] });
    const build = (modules: readonly CompiledModule[], nonce: string, known = EMPTY_CATALOG) =>
      expandGraph({ modules, catalog: known, facts: offlineFacts(modules), fingerprint: String, nonce });
    const keys = ({ plan }: { plan: Plan }) => plan.modules.map((row) => row.layerKey);
    const [first, second] = [build([golden, web], 'one'), build([golden, web], 'two')];
    expect(keys(first).filter((key) => keys(second).includes(key))).toEqual([]);
    expect(keys(build([base], 'one'))).toEqual(keys(build([base], 'two')));
    // Without `base` in the submission, only what is based on its newest version is reused.
    const built = catalogOf(first, [golden, web]);
    expect(actions(build([web], 'three', built).plan)).toEqual({ web: 'reuse' });
    const again = catalogOf(second, [golden]);
    const both = { ...built, newest: again.newest, layers: { ...built.layers, ...again.layers } };
    expect(actions(build([web], 'three', both).plan)).toEqual({ web: 'build' });
  });

  test('a parent that another build is making for the first time is waited for, not unknown', () => {
    const disk = { name: 'disk', sizeBytes: 0, bus: 'virtio' } as const;
    const unfinished = { base: { layerKey: 'k0', vms: [{ vm: 'main', firmware: 'bios' as const, disks: [disk] }] } };
    const { layers } = expand([web], { ...EMPTY_CATALOG, unfinished, building: new Map([['k0', { isBegun: true }]]) });
    expect(layers['web']).toMatchObject({ action: 'build', parents: ['k0'], provisional: false });
    expect(layers['web']?.spec?.vms[0]?.disks[0]).toMatchObject({
      sizeBytes: null,
      origin: { kind: 'layer', layerKey: 'k0', vm: 'main', disk: 'disk' },
    });
  });

  test("a VM has the network cards of its parent, while it is built and afterwards, wherever the parent's are known from", () => {
    const cards = (...models: (NicModel | null)[]) => models.map((model, index) => nic({ name: `n${index}`, model }));
    const golden = compiledModule({ name: 'golden', vms: [{ nics: cards('virtio', 'rtl8139') }] });
    const child = compiledModule({
      name: 'child',
      vms: [{ source: buildRef('golden'), nics: cards(null, null, null, 'pcnet') }],
      buildOverrides: {
        vpcs: [],
        subnets: [],
        vms: [
          { name: 'main', resources: null, nics: [nic({ name: 'n1', model: null }), nic({ name: 'x', model: null })] },
        ],
      },
    });
    const grandchild = compiledModule({ name: 'grandchild', vms: [{ source: buildRef('child'), nics: cards(null) }] });
    const modelsOf = ({ layers }: GraphPlan, name: string) => {
      const { nics, templateNics } = layers[name]?.spec?.vms[0] ?? { nics: [], templateNics: [] };
      return [nics.map(({ model }) => model), templateNics.map(({ model }) => model)];
    };
    const planned = expand([golden, child, grandchild]);
    const expected = [
      ['rtl8139', 'rtl8139'],
      ['virtio', 'rtl8139', 'virtio', 'pcnet'],
    ];
    expect(modelsOf(planned, 'child')).toEqual(expected);
    expect(modelsOf(planned, 'grandchild')).toEqual([['virtio'], ['virtio']]);
    const offered = { vm: 'main', firmware: 'bios' as const, disks: [], nicModels: ['virtio', 'rtl8139'] as const };
    const unfinished = { golden: { layerKey: 'k0', vms: [offered] } };
    expect(modelsOf(expand([child], { ...EMPTY_CATALOG, unfinished }), 'child')).toEqual(expected);
    const former = { golden: { layerKey: 'k0', vms: [{ ...offered, nicModels: undefined }] } };
    expect(modelsOf(expand([child], { ...EMPTY_CATALOG, unfinished: former }), 'child')[1]).toEqual([
      ...['e1000', 'e1000', 'e1000', 'pcnet'],
    ]);
  });

  test('below an unknown parent there is a plan, but nothing that could be built', () => {
    const app = compiledModule({ name: 'app', vms: [{ source: buildRef('web') }] });
    const { plan, layers } = expand([web, app], EMPTY_CATALOG, { unknownParents: 'warning' });
    expect(plan.totals).toEqual({ modules: 2, jobs: 8 });
    expect(Object.values(layers).map(({ spec, provisional }) => [spec, provisional])).toEqual([
      [null, true],
      [null, true],
    ]);
  });

  test('a VM boots after those it depends on', () => {
    const lab = compiledModule({
      name: 'lab',
      vms: [{ name: 'client', dependsOn: ['server', 'server'] }, { name: 'server' }],
    });
    const boots = expand([lab]).plan.modules[0]?.jobs.filter((job) => job.phase === 'boot-keystrokes');
    expect(boots?.map(({ id, dependsOn }) => [id, dependsOn])).toEqual([
      ['lab.server.boot-keystrokes', ['lab.server.import']],
      ['lab.client.boot-keystrokes', ['lab.client.import', 'lab.server.boot-keystrokes']],
    ]);
  });
});
