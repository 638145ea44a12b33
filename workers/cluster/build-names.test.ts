import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sourceName } from '../../common/contracts/object-names.ts';
import { buildNames } from './build-names.ts';

const names = buildNames({ layerBuild: '01J00000000000000000000000', generation: 1 });

/** Names as modules may have: few letters and many hyphens, so that collisions are likely where they are possible. */
const label = fc
  .stringMatching(/^[ab]([ab1-]{0,6}[ab1])?$|^[a-z]([a-z-]{0,60}[a-z])?$/)
  .filter((name) => name.length <= 63);

const object = fc.oneof(
  fc.tuple(fc.constant('machine'), label),
  fc.tuple(fc.constant('template'), label),
  fc.tuple(fc.constant('templateDisk'), label, label),
  fc.tuple(fc.constant('disk'), label, label),
  fc.tuple(fc.constant('cloudInit'), label),
  fc.tuple(fc.constant('answers'), label),
  fc.tuple(fc.constant('vpc'), label),
  fc.tuple(fc.constant('subnet'), label),
  fc.tuple(fc.constant('attachment'), label),
  fc.tuple(fc.constant('gateway'), label),
  fc.tuple(fc.constant('relay'), label),
);

function nameOf([role, ...parts]: [string, ...string[]]): string {
  const make = names[role as 'machine'] as (...parts: string[]) => string;
  return make(...parts);
}

test('different objects never have one name, and each name is a DNS label', () => {
  const made = new Map<string, string>();
  fc.assert(
    fc.property(object, (what) => {
      const name = nameOf(what);
      expect(name).toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
      const description = what.join(' ');
      expect(made.get(name) ?? description).toBe(description);
      made.set(name, description);
    }),
    { numRuns: 20_000 },
  );
});

test.each([
  [names.machine('web-template'), names.template('web')],
  [names.disk('a', 'b-disk-c'), names.disk('a-disk-b', 'c')],
  [names.disk('a', 'b--c'), names.disk('a--b', 'c')],
  [names.machine('disk-a-b'), names.disk('a', 'b')],
  [names.vpc('net-a'), names.subnet('a')],
  [names.machine(`${'a'.repeat(62)}b`), names.machine(`${'a'.repeat(62)}c`)],
])('%s is not %s', (one, other) => {
  expect(one).not.toBe(other);
});

test('two farms on one cluster import a source each for itself', () => {
  expect(sourceName('one', 'sha256:1')).not.toBe(sourceName('two', 'sha256:1'));
});
