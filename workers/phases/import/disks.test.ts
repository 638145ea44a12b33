import { expect, test } from 'vitest';
import type { DiskOrigin, LayerRecord } from '../../../common/contracts/layers.ts';
import { LABELS } from '../../../common/contracts/object-keys.ts';
import { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../../common/kubernetes/teardown.ts';
import { diskOf, type ImportLab, MIB, useImportLab } from '../../../test/harness/import-lab.ts';
import { layerRecord } from '../../../test/harness/layer-factory.ts';
import { stagePhase } from '../../../test/harness/phase-context.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import { captureDisks } from '../snapshot/capture.ts';
import { importExecutor } from './import-executor.ts';

let lab: ImportLab;

useImportLab((opened) => {
  lab = opened;
});

async function sourceOfDisk(layerBuild: string) {
  const { items } = await new ClusterClient(lab.config).list(RESOURCES.dataVolumes, {
    labels: { 'slipway.dev/layer-build': layerBuild },
  });
  return items.map(({ spec }) => spec.source);
}

test('clones an existing claim, and reports the error of another one', async () => {
  const cluster = new ClusterClient(lab.config);
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: String(64 * MIB) } } };
  await cluster.create(RESOURCES.claims, { metadata: { name: 'golden' }, spec });
  const origin = { kind: 'claim', name: 'golden', namespace: null } as const;
  const layerBuild = '01J00000000000000000000024';
  expect(await importExecutor.execute(lab.importDb(origin, layerBuild))).toEqual({ outcome: 'succeeded' });
  expect(await sourceOfDisk(layerBuild)).toEqual([{ pvc: { name: 'golden', namespace: 'default' } }]);
  // What was begun continues without it.
  await cluster.delete(RESOURCES.claims, 'golden');
  expect(await importExecutor.execute(lab.importDb(origin, layerBuild))).toEqual({ outcome: 'succeeded' });

  await cluster.create(RESOURCES.claims, { metadata: { name: 'large' }, spec });
  const small = lab.importDb({ ...origin, name: 'large' }, '01J00000000000000000000025', MIB);
  await expect(importExecutor.execute(small)).rejects.toMatchObject({ failure: { reason: 'ImageTooLarge' } });
  // As CDI labels the claim of a volume of the farm, or of another one on this cluster.
  const labels = { [LABELS.farm]: 'another', [LABELS.role]: 'source' };
  await cluster.create(RESOURCES.claims, { metadata: { name: 'shared', labels }, spec });
  const shared = lab.importDb({ ...origin, name: 'shared' }, '01J00000000000000000000027');
  await expect(importExecutor.execute(shared)).rejects.toMatchObject({
    failure: { reason: 'SourceUnreachable', message: expect.stringContaining('is a disk of a build farm') },
  });
  const missing = lab.importDb({ ...origin, name: 'missing' }, '01J00000000000000000000026');
  await expect(importExecutor.execute(missing)).rejects.toMatchObject({
    failure: {
      reason: 'SourceUnreachable',
      message: 'PersistentVolumeClaim "missing" in the namespace "default" not found',
    },
  });
}, 120_000);

/** A disk that grows only on request: CDI inflates what is asked for, so a clone must not ask for what there is. */
test('keeps the claims of five generations as large as the first, and grows one that is asked to', async () => {
  const cluster = new ClusterClient(lab.config);
  const claimBytes = async (name: string) =>
    Number((await cluster.get(RESOURCES.claims, name))?.spec?.resources?.requests?.['storage']);
  const parents: Record<string, LayerRecord> = {};
  let origin: DiskOrigin = { kind: 'blank' };
  const build = async (generation: number, sizeBytes: number | null) => {
    const layerBuild = `01J0000000000000000000005${generation}`;
    const spec = lab.spec(origin);
    const [web, db] = spec.vms;
    if (!web || !db) throw new Error('unreachable');
    const vms = [web, { ...db, disks: [{ ...diskOf(db), sizeBytes }] }];
    const staged = stagePhase({
      ...{ clusterConfig: lab.config, spec: { ...spec, vms }, vm: 'db', phase: 'import', layerBuild, parents },
    });
    await importExecutor.execute(staged);
    const scope = buildScope(staged);
    const captured = await captureDisks(staged, scope);
    const layerKey = `generation-${generation}`;
    parents[layerKey] = layerRecord({ layerKey, cluster: lab.config.name, namespace: 'default', vms: [captured] });
    origin = { kind: 'layer', layerKey, vm: 'db', disk: 'root' };
    const identity = { layerBuild, generation: 1 };
    const volume = scope.names.disk('db', 'root');
    const found = { claim: await claimBytes(volume), recorded: captured.disks[0]?.sizeBytes };
    await teardownBuild(cluster, {
      farm: 'test',
      network: 'kube-ovn',
      identity,
      signal: staged.signal,
      deadlineMs: 60_000,
    });
    return found;
  };
  const first = { claim: 106 * MIB, recorded: 100 * MIB };
  expect(await build(0, 100 * MIB)).toEqual(first);
  for (const generation of [1, 2, 3]) expect(await build(generation, null)).toEqual(first);
  expect(await build(4, 100 * MIB)).toEqual(first);
  expect(await build(5, 300 * MIB)).toEqual({ claim: 318 * MIB, recorded: 300 * MIB });
}, 120_000);

test('leaves it to a machine where its disks lie, where the class waits for that', async () => {
  const cluster = new ClusterClient(lab.config);
  const [known] = (await cluster.list(RESOURCES.storageClasses)).items;
  const late = { ...known, metadata: { name: 'late' }, volumeBindingMode: 'WaitForFirstConsumer' };
  await cluster.create(RESOURCES.storageClasses, late);
  const layerBuild = '01J00000000000000000000061';
  const staged = lab.importDb(lab.urlOrigin(lab.image.sha256), layerBuild);
  const clusterConfig = { ...lab.config, storageClass: 'late' };
  expect(await importExecutor.execute({ ...staged, clusterConfig })).toEqual({ outcome: 'succeeded' });
  const disk = () => cluster.get(RESOURCES.dataVolumes, buildScope(staged).names.disk('db', 'root'));
  expect((await disk())?.status?.phase).toBe('PendingPopulation');
  const identity = { layerBuild, generation: 1 };
  await teardownBuild(cluster, {
    farm: 'test',
    network: 'kube-ovn',
    identity,
    signal: staged.signal,
    deadlineMs: 60_000,
  });
}, 60_000);

test('reports at once that a storage class does not exist', async () => {
  const staged = lab.importDb({ kind: 'blank' }, '01J00000000000000000000060');
  const [web, db] = staged.claim.spec.vms;
  if (!web || !db) throw new Error('unreachable');
  const vms = [web, { ...db, disks: [{ ...diskOf(db), storageClass: 'fsat' }] }];
  const mistyped = { ...staged, claim: { ...staged.claim, spec: { ...staged.claim.spec, vms } } };
  await expect(importExecutor.execute(mistyped)).rejects.toMatchObject({
    failure: { reason: 'ClusterRefused', message: expect.stringMatching(/ErrClaimNotValid: .*storage class "fsat"/) },
  });
}, 60_000);
