import { expect, test } from 'vitest';
import { type PlacementCluster, type PlacementModule, placeModules } from './place-modules.ts';

const limits = { imports: 1, vms: 4, cpu: 8, memoryBytes: 1024 };
const cluster = (name: string, load: number, more: Partial<PlacementCluster> = {}): PlacementCluster => ({
  name,
  limits,
  load,
  healthy: true,
  labels: {},
  closed: null,
  hasEgress: true,
  full: null,
  getsCopies: false,
  ...more,
});
const vm = { name: 'vm', disks: [], isos: [], nics: [], templateNics: [], cpu: 2, memoryBytes: 256 };
const module = (name: string, more: Partial<PlacementModule> = {}): PlacementModule => ({
  name,
  origin: { file: `${name}.yaml`, line: 1, column: 1 },
  parents: [],
  near: new Map(),
  joins: undefined,
  vms: [vm],
  wishesInternet: false,
  clusterLabels: {},
  obstacles: new Map(),
  ...more,
});
/** The cluster of the only layer that a module starts from. */
const on = (name: string) => new Map([['a layer', name]]);

test('spreads free modules over the clusters, the least loaded first', () => {
  const placed = placeModules([module('a'), module('b'), module('c')], [cluster('x', 0.5), cluster('y', 0)]);
  expect(Object.fromEntries(placed)).toEqual({ a: 'y', b: 'y', c: 'x' });
});

test('keeps modules that start from each other together, with the layers that they start from', () => {
  const modules = [
    module('base'),
    module('other', { joins: 'x' }),
    module('both', { parents: ['base', 'other'], near: on('x') }),
    module('alone'),
  ];
  const placed = placeModules(modules, [cluster('x', 3), cluster('y', 0)]);
  expect(Object.fromEntries(placed)).toEqual({ base: 'x', other: 'x', both: 'x', alone: 'y' });
});

test('keeps a rebuilt module where it was, with what is based on it, unless that cluster does not answer', () => {
  const modules = [module('base', { formerly: 'x' }), module('child', { parents: ['base'] }), module('alone')];
  const placed = placeModules(modules, [cluster('x', 3), cluster('y', 0)]);
  expect(Object.fromEntries(placed)).toEqual({ base: 'x', child: 'x', alone: 'y' });
  expect(placeModules(modules, [cluster('x', 3, { healthy: false }), cluster('y', 0)]).get('base')).toBe('y');
});

test('avoids a cluster that does not answer, and one that is too small', () => {
  const small = cluster('small', 0, { limits: { ...limits, cpu: 1 } });
  const clusters = [cluster('away', 0, { healthy: false }), small, cluster('busy', 9)];
  expect(placeModules([module('a')], clusters).get('a')).toBe('busy');
  expect(placeModules([module('a')], clusters.slice(0, 2)).get('a')).toBe('away');
});

test('reports at its module, all at once, what exceeds every cluster and what cannot be placed together', () => {
  const small = [cluster('few cores', 0, { limits: { ...limits, cpu: 1 } })];
  const many = Array.from({ length: 7 }, (_, index) => module(`c${index}`, { parents: ['b'], vms: [] }));
  const modules = [
    module('a', {
      near: new Map([
        ['one', 'x'],
        ['two', 'few cores'],
      ]),
    }),
    module('b'),
    ...many,
  ];
  const refused = {
    code: 'ClusterUnfit',
    details: {
      problems: [
        {
          ...{ file: 'a.yaml', line: 1, column: 1, severity: 'error', code: 'ClusterUnfit' },
          message: 'Module "a": it needs layers of different clusters: x, few cores',
        },
        {
          ...{ file: 'b.yaml', line: 1, column: 1, severity: 'error', code: 'ExceedsLimits' },
          message:
            'Module "b": it fits on no cluster: "few cores" is too small for 2 cores (limit 1); ' +
            'it must be on the same cluster as "c0", "c1", "c2", "c3", "c4" and 2 more',
        },
      ],
    },
  };
  expect(() => placeModules(modules, small)).toThrow(expect.objectContaining(refused));
});

test('prefers a cluster with internet for modules that wish for it, and is content with one without', () => {
  const [closed, open] = [cluster('closed', 0, { hasEgress: false }), cluster('open', 5)];
  const wishing = [module('a', { wishesInternet: true, formerly: 'closed' })];
  expect(placeModules(wishing, [closed, open]).get('a')).toBe('open');
  expect(placeModules([module('a')], [closed, open]).get('a')).toBe('closed');
  expect(placeModules(wishing, [closed]).get('a')).toBe('closed');
  expect(placeModules(wishing, [closed, { ...open, healthy: false }]).get('a')).toBe('closed');
});

test('goes only where the network of every module can be had, and reports why if there is none', () => {
  const obstacles = new Map([['x', '"x" has the pod network only, and the VM "v" asks for the address 10.0.0.9']]);
  const modules = [module('base'), module('child', { parents: ['base'], obstacles })];
  expect(placeModules(modules, [cluster('x', 0), cluster('y', 9)]).get('base')).toBe('y');
  const refusedAt = (file: string) =>
    expect.objectContaining({
      ...{ code: 'NetworkNotOffered', message: expect.stringContaining('10.0.0.9') },
      details: { problems: [expect.objectContaining({ file, line: 1, column: 1 })] },
    });
  expect(() => placeModules(modules, [cluster('x', 0)])).toThrow(refusedAt('child.yaml'));
  const bound = [module('base', { joins: 'x' }), module('child', { parents: ['base'], near: on('x'), obstacles })];
  expect(() => placeModules(bound, [cluster('x', 0), cluster('y', 0)])).toThrow(refusedAt('child.yaml'));
});

test('keeps to clusters whose storage has room, and refuses with numbers when none has', () => {
  const full = 'its storage is full: 1 GiB free, a build needs 2 GiB (1 GiB more)';
  const [roomy, crowded] = [cluster('roomy', 9), cluster('crowded', 0, { full })];
  expect(placeModules([module('a')], [crowded, roomy]).get('a')).toBe('roomy');
  const refused = (modules: readonly PlacementModule[]) => {
    try {
      return Object.fromEntries(placeModules(modules, [crowded, { ...roomy, full: 'it is full' }]));
    } catch (error) {
      return error;
    }
  };
  const reason = `no cluster has room for its disks: "crowded": ${full}`;
  expect(refused([module('a')])).toMatchObject({
    code: 'StorageFull',
    message: `Module "a": ${reason}; "roomy": it is full`,
  });
  // Where its parent is there is none, no matter how much others have; a build that has begun needs none.
  const begun = module('base', { joins: 'crowded' });
  expect(refused([begun])).toEqual({ base: 'crowded' });
  const child = module('child', { parents: ['base'], near: on('crowded') });
  expect(() => placeModules([begun, child], [crowded, roomy])).toThrow(`Module "child": ${reason}`);
});

test('goes where the labels are that every module of a group asks for, and lists the existing labels', () => {
  const clusters = [
    cluster('x', 0, { labels: { zone: 'us' } }),
    cluster('y', 9, { labels: { zone: 'eu', disk: 'fast' } }),
  ];
  const eu = { clusterLabels: { zone: 'eu' } };
  expect(placeModules([module('a'), module('b', eu)], clusters).get('b')).toBe('y');
  const both = [module('base', eu), module('child', { parents: ['base'], clusterLabels: { disk: 'fast' } })];
  expect(placeModules(both, clusters).get('base')).toBe('y');
  const refused = (modules: readonly PlacementModule[]) => () => placeModules(modules, clusters);
  const slow = module('child', { parents: ['base'], clusterLabels: { disk: 'slow' } });
  expect(refused([module('base', eu), slow])).toThrow(
    'Module "child": no cluster has its labels: "child" asks for disk=slow; "base" asks for zone=eu; ' +
      '"x" has zone=us; "y" has zone=eu, disk=fast; it must be on the same cluster as "base"',
  );
  // Where its parent is decides; what is there already is left where it is.
  expect(refused([module('c', { near: on('x'), ...eu })])).toThrow(expect.objectContaining({ code: 'NoSuchLabels' }));
  expect(placeModules([module('c', { joins: 'x', ...eu })], clusters).get('c')).toBe('x');
});

test('places no module on a closed cluster, and names who closed it when all are', () => {
  const closed = 'it is cordoned, by ann';
  const [shut, busy] = [cluster('shut', 0, { closed }), cluster('busy', 9)];
  expect(placeModules([module('a')], [shut, busy]).get('a')).toBe('busy');
  const refusal = 'Module "a": no cluster takes new modules: "shut": it is cordoned, by ann';
  expect(() => placeModules([module('a')], [shut])).toThrow(refusal);
  expect(() => placeModules([module('a', { near: on('shut') })], [shut, busy])).toThrow(
    expect.objectContaining({ code: 'ClusterClosed' }),
  );
  expect(placeModules([module('a', { joins: 'shut' })], [shut, busy]).get('a')).toBe('shut');
});

test('copies a layer where that takes less than waiting, where it must, and only from a cluster that answers', () => {
  const child = module('child', { near: on('x') });
  const gets = { getsCopies: true };
  const place = (...clusters: PlacementCluster[]) => placeModules([child], clusters).get('child');
  expect(place(cluster('x', 0.9, gets), cluster('y', 0, gets))).toBe('x');
  expect(place(cluster('x', 1.5, gets), cluster('y', 0, gets))).toBe('y');
  expect(place(cluster('x', 1.5, gets), cluster('y', 0))).toBe('x');
  expect(place(cluster('x', 1.5, { healthy: false }), cluster('y', 0, gets))).toBe('x');
  expect(place(cluster('x', 0, { closed: 'it is being drained, by ann' }), cluster('y', 5, gets))).toBe('y');
  const both = module('both', {
    near: new Map([
      ['one', 'x'],
      ['two', 'y'],
    ]),
  });
  expect(placeModules([both], [cluster('x', 0.3, gets), cluster('y', 0.2, gets)]).get('both')).toBe('y');
  const fast = module('fast', { near: on('x'), clusterLabels: { disk: 'fast' } });
  expect(
    placeModules([fast], [cluster('x', 0), cluster('y', 3, { ...gets, labels: { disk: 'fast' } })]).get('fast'),
  ).toBe('y');
});
