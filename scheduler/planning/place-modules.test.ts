import { expect, test } from 'vitest';
import { type PlacementCluster, type PlacementModule, placeModules } from './place-modules.ts';

const limits = { imports: 1, vms: 4, cpu: 8, memoryBytes: 1024 };
const cluster = (name: string, load: number, more: Partial<PlacementCluster> = {}): PlacementCluster => ({
  name,
  limits,
  load,
  healthy: true,
  hasEgress: true,
  ...more,
});
const vm = { name: 'vm', disks: [], isos: [], nics: [], templateNics: [], cpu: 2, memoryBytes: 256 };
const module = (name: string, more: Partial<PlacementModule> = {}): PlacementModule => ({
  name,
  parents: [],
  boundTo: [],
  vms: [vm],
  wishesInternet: false,
  obstacles: new Map(),
  ...more,
});

test('spreads free modules over the clusters, the least loaded first', () => {
  const placed = placeModules([module('a'), module('b'), module('c')], [cluster('x', 0.5), cluster('y', 0)]);
  expect(Object.fromEntries(placed)).toEqual({ a: 'y', b: 'y', c: 'x' });
});

test('keeps modules that start from each other together, with the layers that they start from', () => {
  const modules = [
    module('base'),
    module('other', { boundTo: ['x'] }),
    module('both', { parents: ['base', 'other'] }),
    module('alone'),
  ];
  const placed = placeModules(modules, [cluster('x', 3), cluster('y', 0)]);
  expect(Object.fromEntries(placed)).toEqual({ base: 'x', other: 'x', both: 'x', alone: 'y' });
});

test('keeps a rebuilt module where it was, with what stands on it, unless that cluster does not answer', () => {
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
  expect(() => placeModules([module('a')], [small])).toThrow('No cluster fits all of these modules');
});

test('refuses a module whose layers are on different clusters', () => {
  expect(() => placeModules([module('a', { boundTo: ['x', 'y'] })], [cluster('x', 0)])).toThrow('x, y');
});

test('prefers a cluster with internet for those who wish for it, and is content with one without', () => {
  const [closed, open] = [cluster('closed', 0, { hasEgress: false }), cluster('open', 5)];
  const wishing = [module('a', { wishesInternet: true, formerly: 'closed' })];
  expect(placeModules(wishing, [closed, open]).get('a')).toBe('open');
  expect(placeModules([module('a')], [closed, open]).get('a')).toBe('closed');
  expect(placeModules(wishing, [closed]).get('a')).toBe('closed');
  expect(placeModules(wishing, [closed, { ...open, healthy: false }]).get('a')).toBe('closed');
});

test('goes only where the network of every module can be had, and says why where there is none', () => {
  const obstacles = new Map([['x', '"x" has the pod network only, and the VM "v" asks for the address 10.0.0.9']]);
  const modules = [module('base'), module('child', { parents: ['base'], obstacles })];
  expect(placeModules(modules, [cluster('x', 0), cluster('y', 9)]).get('base')).toBe('y');
  const refused = expect.objectContaining({ code: 'NetworkNotOffered', message: expect.stringContaining('10.0.0.9') });
  expect(() => placeModules(modules, [cluster('x', 0)])).toThrow(refused);
  expect(() => placeModules([module('a', { obstacles, boundTo: ['x'] })], [cluster('x', 0), cluster('y', 0)])).toThrow(
    refused,
  );
});
