import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseQuantity } from '../../../common/text/quantity.ts';
import { type ServedFile, serveFile } from '../../harness/file-server.ts';
import { foreignKubeconfig, mediaHost } from '../../harness/foreign-cluster.ts';
import { guestImages } from '../../harness/guest-images.ts';
import { Laboratory, NAMESPACE, type Seen } from '../machines/laboratory.ts';
import { dataVolume, volumeSnapshot } from '../machines/manifests.ts';

let laboratory: Laboratory;
let image: ServedFile;

beforeAll(async () => {
  image = await serveFile((await guestImages()).cloudImage, mediaHost);
  laboratory = await Laboratory.open();
});

afterAll(async () => {
  await laboratory?.close();
  await image?.stop();
});

const condition = ({ status }: Seen, type: string) => status?.conditions?.find((found) => found.type === type);

test('imports an image by HTTP and verifies its checksum', async () => {
  const source = { http: { url: image.url, checksum: `sha256:${image.sha256}` } };
  await laboratory.create('DataVolume', dataVolume('good', source, '1Gi'));
  const done = await laboratory.untilPhase('DataVolume', 'good', 'Succeeded');
  expect(done.status).toMatchObject({ progress: '100.0%', claimName: 'good' });
  expect(condition(done, 'Ready')?.status).toBe('True');
  // The volume may report it a moment before its claim is bound.
  await laboratory.untilPhase('PersistentVolumeClaim', 'good', 'Bound');
});

test('a checksum that does not match is final', async () => {
  const source = { http: { url: image.url, checksum: `sha256:${'0'.repeat(64)}` } };
  await laboratory.create('DataVolume', dataVolume('tampered', source, '1Gi'));
  const failed = await laboratory.untilPhase('DataVolume', 'tampered', 'Failed');
  expect(condition(failed, 'Running')).toMatchObject({ status: 'False' });
});

test('an import that cannot succeed is tried again and again', async () => {
  await laboratory.create('DataVolume', dataVolume('small', { http: { url: image.url } }, '10Mi'));
  const retried = ({ status }: Seen) => Number(status?.['restartCount'] ?? 0) >= 2;
  const small = await laboratory.until('DataVolume', 'small', retried);
  expect(small.status?.phase).not.toBe('Failed');
});

test('a snapshot becomes ready, and a clone of it is a disk of its own', async () => {
  await laboratory.create('VolumeSnapshot', volumeSnapshot('taken', 'good'));
  const ready = await laboratory.until('VolumeSnapshot', 'taken', ({ status }) => status?.['readyToUse'] === true);
  expect(ready.status?.['boundVolumeSnapshotContentName']).toBeDefined();
  await laboratory.create('DataVolume', dataVolume('clone', { snapshot: { namespace: NAMESPACE, name: 'taken' } }));
  await laboratory.untilPhase('DataVolume', 'clone', 'Succeeded');
  await laboratory.untilPhase('PersistentVolumeClaim', 'clone', 'Bound');
  await laboratory.delete('VolumeSnapshot', 'taken');
  await laboratory.untilGone('VolumeSnapshot', 'taken');
  expect((await laboratory.get('PersistentVolumeClaim', 'clone'))?.status).toMatchObject({ phase: 'Bound' });
});

/** Bytes of a claim, and whether it holds a file system. */
async function claimOf(name: string) {
  const claim = await laboratory.untilPhase('PersistentVolumeClaim', name, 'Bound');
  const { resources, volumeMode } = claim.spec as { resources: { requests: { storage: string } }; volumeMode?: string };
  return { bytes: parseQuantity(resources.requests.storage) ?? 0, isBlock: volumeMode === 'Block' };
}

test('a clone that asks for no size stays as large as its source, generation for generation', async () => {
  await laboratory.create('DataVolume', dataVolume('generation-0', { blank: {} }, '100Mi'));
  await laboratory.untilPhase('DataVolume', 'generation-0', 'Succeeded');
  const { bytes: first, isBlock } = await claimOf('generation-0');
  // 6 % for the file system, unless the cluster is configured otherwise.
  if (!foreignKubeconfig) expect(first).toBe(111_149_056);
  for (const generation of [1, 2, 3]) {
    const snapshot = `of-generation-${generation - 1}`;
    await laboratory.create('VolumeSnapshot', volumeSnapshot(snapshot, `generation-${generation - 1}`));
    await laboratory.until('VolumeSnapshot', snapshot, ({ status }) => status?.['readyToUse'] === true);
    const name = `generation-${generation}`;
    await laboratory.create('DataVolume', dataVolume(name, { snapshot: { namespace: NAMESPACE, name: snapshot } }));
    await laboratory.untilPhase('DataVolume', name, 'Succeeded');
    expect((await claimOf(name)).bytes).toBe(first);
  }
  if (isBlock) return;
  const source = { snapshot: { namespace: NAMESPACE, name: 'of-generation-2' } };
  await laboratory.create('DataVolume', dataVolume('exact', source, '100Mi'));
  const isRefused = (seen: Seen) => condition(seen, 'Bound')?.reason === 'CloneValidationFailed';
  const refused = await laboratory.until('DataVolume', 'exact', isRefused);
  expect(refused.status?.phase ?? '').toBe('');
  expect(condition(refused, 'Bound')?.message).toContain(
    `target resources requests storage size is smaller than the source ${100 * 2 ** 20} < ${first}`,
  );
});
