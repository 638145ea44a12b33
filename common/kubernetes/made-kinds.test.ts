import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../config/package-root.ts';
import { madeKinds, removedKinds } from './made-kinds.ts';
import { RESOURCES } from './resources.ts';

/** The sources of the farm, by path. */
function sources(): Map<string, string> {
  const files = ['common', 'scheduler', 'workers'].flatMap((folder) =>
    readdirSync(packagePath(folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
  );
  const own = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  return new Map(own.map((file) => [file, readFileSync(packagePath(file), 'utf8')]));
}

test('has every kind of which the farm creates objects, and no other', () => {
  const created = [...sources().values()].flatMap((text) =>
    [...text.matchAll(/\.create(?:IfAbsent)?\(\s*RESOURCES\.(\w+)/g)].map(([, kind]) => kind),
  );
  const made = madeKinds().flatMap(({ kind, makers }) => (makers.length > 0 ? [kind] : []));
  expect(new Set(made)).toEqual(new Set(created));
});

test('what is neither removed with its build nor a trace of other objects belongs to layers and exports', () => {
  const kept = madeKinds().filter(({ teardown, makers }) => !teardown && makers.length > 0);
  expect(kept.map(({ kind }) => kind)).toEqual(['snapshots', 'exports']);
});

test('machines and pods are gone before their network is removed, attachments and subnets before VPCs', () => {
  const stageOf = (resource: object) => removedKinds('kube-ovn').find((kind) => kind.resource === resource)?.stage;
  const { machines, instances, pods, subnets, networkAttachments, vpcs } = RESOURCES;
  expect([machines, instances, pods].map(stageOf)).toEqual([1, 1, 1]);
  expect([subnets, networkAttachments, vpcs].map(stageOf)).toEqual([2, 2, 3]);
});

test('DataVolumes and VolumeSnapshots are described in one file, and so are keys of labels and annotations', () => {
  const filesWith = (pattern: RegExp) => [...sources()].flatMap(([file, text]) => (pattern.test(text) ? [file] : []));
  expect(filesWith(/persistentVolumeClaimName:|storage\.bind\.immediate/)).toEqual([
    'common/kubernetes/volume-objects.ts',
  ]);
  expect(filesWith(/(?<!embedded\.|https:\/\/)slipway\.dev\/(?!v1)[a-z-]+'/)).toEqual([
    'common/contracts/object-keys.ts',
  ]);
});
