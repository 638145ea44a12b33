import { expect, test } from 'vitest';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { ADMISSION } from './admission/rules.ts';
import { loadServedApi } from './resource-kinds.ts';

const { kinds } = loadServedApi();
const served = kinds.map(({ group, version, kind, plural }) =>
  [group, version, plural, kind].filter((part) => part !== '').join('/'),
);
/** Kinds that clients ask for and do without: see `kinds-not-served` in LIMITATIONS.md. */
const NOT_SERVED = ['v1/resourcequotas/ResourceQuota'];

test('serves every kind that the clients of this repository ask for', () => {
  const asked = Object.values(RESOURCES).map(({ apiVersion, plural, kind }) => `${apiVersion}/${plural}/${kind}`);
  expect(asked.filter((kind) => !served.includes(kind))).toEqual(NOT_SERVED);
});

test('has rules of admission for served kinds only', () => {
  const names = new Set(kinds.map(({ kind }) => kind));
  expect(Object.keys(ADMISSION).filter((kind) => !names.has(kind))).toEqual([]);
});

test('knows the schema of every kind but those whose objects this server writes alone', () => {
  const open = kinds.filter(({ schema }) => schema === undefined).map(({ kind }) => kind);
  expect(open.toSorted()).toEqual([
    'CDI',
    'CustomResourceDefinition',
    'KubeVirt',
    'StorageProfile',
    'VirtualMachineExport',
  ]);
});
