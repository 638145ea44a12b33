import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServedFile, serveFile } from '../../harness/file-server.ts';
import { mediaHost } from '../../harness/foreign-cluster.ts';
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
  expect((await laboratory.get('PersistentVolumeClaim', 'good'))?.status).toMatchObject({ phase: 'Bound' });
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
  await laboratory.create(
    'DataVolume',
    dataVolume('clone', { snapshot: { namespace: NAMESPACE, name: 'taken' } }, '1Gi'),
  );
  await laboratory.untilPhase('DataVolume', 'clone', 'Succeeded');
  await laboratory.delete('VolumeSnapshot', 'taken');
  await laboratory.untilGone('VolumeSnapshot', 'taken');
  expect((await laboratory.get('PersistentVolumeClaim', 'clone'))?.status).toMatchObject({ phase: 'Bound' });
});
