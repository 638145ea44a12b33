import { expect, test } from 'vitest';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { applyStrategicMergePatch } from './strategic-merge-patch.ts';

test.each([
  ['adds into a list', [{ op: 'add', path: '/list/1', value: 'x' }], { list: ['a', 'x', 'b'], map: { 'a/b': 1 } }],
  [
    'adds at the end of a list',
    [{ op: 'add', path: '/list/-', value: 'x' }],
    { list: ['a', 'b', 'x'], map: { 'a/b': 1 } },
  ],
  ['reads escaped names', [{ op: 'replace', path: '/map/a~1b', value: 2 }], { list: ['a', 'b'], map: { 'a/b': 2 } }],
  ['moves', [{ op: 'move', from: '/list/0', path: '/first' }], { list: ['b'], map: { 'a/b': 1 }, first: 'a' }],
  [
    'copies',
    [{ op: 'copy', from: '/list', path: '/map/list' }],
    { list: ['a', 'b'], map: { 'a/b': 1, list: ['a', 'b'] } },
  ],
  ['replaces the whole', [{ op: 'replace', path: '', value: { new: true } }], { new: true }],
])('JSON patch %s', (_, patch, expected) => {
  expect(applyJsonPatch({ list: ['a', 'b'], map: { 'a/b': 1 } }, patch)).toEqual(expected);
});

test.each([
  ['removes what is not there', [{ op: 'remove', path: '/absent' }], 422],
  ['replaces what is not there', [{ op: 'replace', path: '/list/2', value: 1 }], 422],
  ['adds beyond the end', [{ op: 'add', path: '/list/3', value: 1 }], 422],
  ['adds below nothing', [{ op: 'add', path: '/absent/x', value: 1 }], 422],
  ['tests what differs', [{ op: 'test', path: '/list', value: ['b'] }], 422],
  ['is not a list', {}, 400],
  ['has an unknown operation', [{ op: 'increase', path: '/list' }], 400],
])('refuses a JSON patch that %s', (_, patch, code) => {
  expect(() => applyJsonPatch({ list: ['a', 'b'] }, patch)).toThrow(expect.objectContaining({ code }));
});

test('leaves the document alone when a later operation fails', () => {
  const document = { list: ['a'] };
  expect(() =>
    applyJsonPatch(document, [
      { op: 'add', path: '/list/-', value: 'b' },
      { op: 'remove', path: '/x' },
    ]),
  ).toThrow();
  expect(document).toEqual({ list: ['a'] });
});

test('merge patches remove with null and replace lists', () => {
  const document = { a: { b: 1, c: [1, 2] }, d: 1 };
  expect(applyMergePatch(document, { a: { b: null, c: [3] }, e: { f: null, g: 1 } })).toEqual({
    a: { c: [3] },
    d: 1,
    e: { g: 1 },
  });
});

test('strategic patches merge lists by their key and obey directives', () => {
  const document = {
    containers: [
      { name: 'a', image: '1', args: ['x'] },
      { name: 'b', image: '2' },
    ],
    finalizers: ['one'],
  };
  const patch = {
    containers: [{ name: 'a', image: '3' }, { name: 'b', $patch: 'delete' }, { name: 'c' }],
    finalizers: ['two'],
    '$deleteFromPrimitiveList/finalizers': ['one'],
    '$setElementOrder/containers': [{ name: 'a' }],
  };
  expect(applyStrategicMergePatch(document, patch)).toEqual({
    containers: [{ name: 'a', image: '3', args: ['x'] }, { name: 'c' }],
    finalizers: ['two'],
  });
});
