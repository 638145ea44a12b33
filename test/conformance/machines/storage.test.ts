import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServedFile, serveFile } from '../../harness/file-server.ts';
import { guestImages } from '../../harness/guest-images.ts';
import { type ImageRegistry, startImageRegistry } from '../../harness/image-registry.ts';
import { Laboratory, NAMESPACE, type Seen } from './laboratory.ts';
import { dataVolume } from './manifests.ts';

const MIB = 2 ** 20;

let isLateThere = false;
let laboratory: Laboratory;
let image: ServedFile;
let registry: ImageRegistry;
/** Answers with a whole image, or half of it, and every other request with 404. */
let odd: { readonly server: Server; readonly url: string };

beforeAll(async () => {
  const raw = Buffer.alloc(2 * MIB);
  const server = createServer(({ url }, response) => {
    if (url === '/whole' || (url === '/late' && isLateThere)) response.setHeader('content-length', raw.length).end(raw);
    else if (url === '/cut') {
      response.writeHead(200, { 'content-length': raw.length });
      response.write(raw.subarray(MIB), () => response.socket?.destroy());
    } else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  odd = { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  image = await serveFile((await guestImages()).cloudImage);
  registry = await startImageRegistry({ tokens: true });
  laboratory = await Laboratory.open();
});

afterAll(async () => {
  await laboratory?.close();
  await image?.stop();
  await registry?.stop();
  odd?.server.close();
});

const condition = ({ status }: Seen, type: string) => status?.conditions?.find((found) => found.type === type);

test('takes the disk out of a container image, and tries one that is missing again and again', async () => {
  const disk = await readFile((await guestImages()).cloudImage);
  await registry.push('disks/tiny:1', { layers: [{ files: { 'disk/tiny.qcow2': disk } }], indexed: true });
  const source = (name: string) => ({ registry: { url: `docker://${registry.host}/${name}`, pullMethod: 'pod' } });
  await laboratory.create('DataVolume', dataVolume('contained', source('disks/tiny:1'), '1Gi'));
  await laboratory.create('DataVolume', dataVolume('uncontained', source('disks/none:1'), '1Gi'));
  const done = await laboratory.untilPhase('DataVolume', 'contained', 'Succeeded');
  expect(done.status).toMatchObject({ progress: '100.0%', claimName: 'contained' });
  const missing = await laboratory.untilImportFails('uncontained', { restarts: 2 });
  expect(missing.status?.phase).toBe('ImportInProgress');
  expect(condition(missing, 'Running')).toMatchObject({
    reason: 'ImagePullFailed',
    message: expect.stringMatching(
      /scratch space: Failed to read registry image: failed to pull image: .*manifest unknown/,
    ),
  });
});

test('names the container images that it does not import', async () => {
  const refused = { archive: { url: 'oci-archive:///x' }, stream: { imageStream: 'x', pullMethod: 'node' } };
  for (const [name, registry] of Object.entries(refused)) {
    await laboratory.create('DataVolume', dataVolume(name, { registry }, '1Gi'));
    const seen = await laboratory.untilImportFails(name, { restarts: 1 });
    expect(condition(seen, 'Running')?.message).toMatch(/Could not parse image|not offered by the embedded cluster/);
  }
});

test('a volume that refers to a DataSource waits for it, as it would for one that is missing', async () => {
  const storage = { resources: { requests: { storage: '4Mi' } } };
  const spec = { sourceRef: { kind: 'DataSource', name: 'absent' }, storage };
  await laboratory.create('DataVolume', { metadata: { name: 'referring' }, spec });
  await laboratory.create('DataVolume', { metadata: { name: 'after' }, spec: { source: { blank: {} }, storage } });
  await laboratory.untilPhase('DataVolume', 'after', 'Succeeded');
  expect((await laboratory.get('DataVolume', 'referring'))?.status?.phase).toBeUndefined();
  for (const name of ['after', 'referring']) await laboratory.delete('DataVolume', name);
});

test('an absent source and a volume that is too small are tried again and again', async () => {
  await laboratory.create('DataVolume', dataVolume('absent', { http: { url: `${odd.url}/none` } }, '1Gi'));
  await laboratory.create('DataVolume', dataVolume('small', { http: { url: image.url } }, '10Mi'));
  const [small, missing] = await Promise.all([
    laboratory.untilImportFails('small', { restarts: 2 }),
    laboratory.untilImportFails('absent', { restarts: 2 }),
  ]);
  expect(small.status?.phase).toBe('ImportInProgress');
  const message = 'Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found';
  expect(condition(missing, 'Running')).toMatchObject({ status: 'False', reason: 'Error', message });
  expect(condition(small, 'Running')).toMatchObject({ status: 'False', reason: 'Error' });
  expect(condition(small, 'Running')?.message).toContain('DataVolume too small to contain image');
});

/** The states of an import from its creation to the last one; each is named once. */
async function statesOf(name: string, http: object, last: string): Promise<string[]> {
  const { body } = await laboratory.client.send('GET', laboratory.path('DataVolume'));
  const { resourceVersion } = body['metadata'] as { resourceVersion: string };
  const query = `watch=true&fieldSelector=metadata.name%3D${name}&timeoutSeconds=25&resourceVersion=${resourceVersion}`;
  await laboratory.create('DataVolume', dataVolume(name, { http }, '16Mi'));
  const states: string[] = [];
  for await (const { object } of laboratory.client.watch(`${laboratory.path('DataVolume')}?${query}`)) {
    const seen = object as unknown as Seen;
    const reasons = ['Running', 'Bound', 'Ready'].map((type) => condition(seen, type)?.reason || '-');
    const state = [seen.status?.phase ?? '-', ...reasons, seen.status?.['restartCount'] ?? '-'].join(', ');
    if (state !== states.at(-1)) states.push(state);
    if (state === last) return states;
  }
  throw new Error(`"${last}" was never seen: ${states.join(' | ')}`);
}

const BEGUN = [
  ...['-, -, -, -, -', 'ImportScheduled, ContainerCreating, Pending, -, -'],
  'ImportInProgress, Pod is running, Pending, TransferRunning, -',
  'ImportInProgress, Scratch space required, Pending, -, -',
  'ImportScheduled, Scratch space required, Pending, -, -',
  'ImportInProgress, Pod is running, Pending, TransferRunning, -',
];

test('an import reports its states in the order of CDI', async () => {
  const bound = 'Succeeded, Completed, Bound, -, -';
  expect(await statesOf('whole', { url: `${odd.url}/whole` }, bound)).toEqual([
    ...BEGUN,
    'Succeeded, Completed, Pending, -, -',
    bound,
  ]);
  const third = 'ImportInProgress, ImagePullFailed, Pending, -, 2';
  expect(await statesOf('cut', { url: `${odd.url}/cut` }, third)).toEqual([
    ...[...BEGUN, 'ImportInProgress, ImagePullFailed, Pending, -, -'],
    'ImportInProgress, Pod is running, Pending, TransferRunning, 1',
    'ImportInProgress, ImagePullFailed, Pending, -, 1',
    'ImportInProgress, Pod is running, Pending, TransferRunning, 2',
    third,
  ]);
  // What has no scratch space yet could not reach its source.
  const refused = 'ImportInProgress, Error, Pending, -, 1';
  expect(await statesOf('refused', { url: `${odd.url}/none` }, refused)).toEqual([
    ...[...BEGUN.slice(0, 3), 'ImportInProgress, Error, Pending, -, -'],
    'ImportInProgress, Pod is running, Pending, TransferRunning, 1',
    refused,
  ]);
  const waiting = 'ImportScheduled, CreateContainerConfigError, Pending, -, -';
  const states = await statesOf('secret', { url: `${odd.url}/whole`, secretRef: 'late' }, waiting);
  expect(states).toEqual([...BEGUN.slice(0, 2), waiting]);
  await laboratory.create('Secret', { metadata: { name: 'late' }, stringData: { accessKeyId: 'a', secretKey: 'b' } });
  await laboratory.untilPhase('DataVolume', 'secret', 'Succeeded');
  for (const name of ['whole', 'cut', 'refused', 'secret']) await laboratory.delete('DataVolume', name);
});

test('a snapshot that is taken too early reports it and recovers, and a clone waits for its source', async () => {
  const source = { persistentVolumeClaimName: 'late' };
  await laboratory.create('VolumeSnapshot', { metadata: { name: 'early' }, spec: { source } });
  await laboratory.create('DataVolume', dataVolume('clone', { snapshot: { namespace: NAMESPACE, name: 'early' } }));
  await laboratory.until('VolumeSnapshot', 'early', ({ status }) => status?.['error'] !== undefined);
  const isHeld = (seen: Seen) => condition(seen, 'Bound')?.reason === 'CloneValidationFailed';
  expect((await laboratory.until('DataVolume', 'clone', isHeld)).status?.phase ?? '').toBe('');
  await laboratory.create('DataVolume', dataVolume('late', { blank: {} }, '64Mi'));
  const ready = await laboratory.until('VolumeSnapshot', 'early', ({ status }) => status?.['readyToUse'] === true);
  // The size of the claim, with what CDI added for the file system.
  expect(ready.status).toMatchObject({ restoreSize: String(Math.ceil(64 * 2 ** 20 * 1.06)) });
  expect(ready.status?.['error']).toBeUndefined();
  await laboratory.untilPhase('DataVolume', 'clone', 'Succeeded');
});

test('a clone that grows is a copy where its class has no expansion, and a class that is missing is not a class', async () => {
  const { client } = laboratory;
  const [known] = (await client.send('GET', '/apis/storage.k8s.io/v1/storageclasses')).body['items'] as Seen[];
  const made = { ...known, metadata: { name: 'fixed' }, allowVolumeExpansion: false };
  const source = { snapshot: { namespace: NAMESPACE, name: 'early' } };
  const named = (name: string, storageClassName: string, size?: string) => {
    const { metadata, spec } = dataVolume(name, source, size);
    return laboratory.create('DataVolume', {
      metadata,
      spec: { ...spec, storage: { ...spec.storage, storageClassName } },
    });
  };
  await named('copied', 'fixed', '256Mi');
  const isHeld = (seen: Seen) => condition(seen, 'Bound')?.reason === 'ErrClaimNotValid';
  const held = await laboratory.until('DataVolume', 'copied', isHeld);
  expect(condition(held, 'Bound')?.message).toBe(
    'PVC spec is missing accessMode and no storageClass to choose profile',
  );
  expect(await laboratory.get('PersistentVolumeClaim', 'copied')).toBeUndefined();
  await client.send('POST', '/apis/storage.k8s.io/v1/storageclasses', made);
  await laboratory.untilPhase('DataVolume', 'copied', 'Succeeded');
  await laboratory.create('DataVolume', dataVolume('prepared', source, '256Mi'));
  await laboratory.untilPhase('DataVolume', 'prepared', 'Succeeded');
  const ways = await Promise.all(
    ['clone', 'prepared', 'copied'].map(async (name) => {
      const { metadata } = (await laboratory.get('PersistentVolumeClaim', name)) ?? {};
      return (metadata as { annotations?: Record<string, string> })?.annotations?.['cdi.kubevirt.io/cloneType'];
    }),
  );
  expect(ways).toEqual(['snapshot', 'snapshot', 'copy']);
  for (const name of ['prepared', 'copied']) await laboratory.delete('DataVolume', name);
});

test('a class that waits for the first consumer fills a volume when a machine with it is started', async () => {
  const { client } = laboratory;
  const [known] = (await client.send('GET', '/apis/storage.k8s.io/v1/storageclasses')).body['items'] as Seen[];
  const late = { ...known, metadata: { name: 'late' }, volumeBindingMode: 'WaitForFirstConsumer' };
  await client.send('POST', '/apis/storage.k8s.io/v1/storageclasses', late);
  const storage = { resources: { requests: { storage: '16Mi' } }, storageClassName: 'late' };
  await laboratory.create('DataVolume', { metadata: { name: 'placed' }, spec: { source: { blank: {} }, storage } });
  const pending = await laboratory.untilPhase('DataVolume', 'placed', 'PendingPopulation');
  expect(condition(pending, 'Bound')).toMatchObject({ status: 'False', reason: 'Pending' });
  const devices = { disks: [{ name: 'root', disk: { bus: 'virtio' } }] };
  const template = {
    spec: {
      // Nothing in it hears the power button.
      terminationGracePeriodSeconds: 0,
      domain: { memory: { guest: '64Mi' }, devices: { ...devices, autoattachPodInterface: false } },
      volumes: [{ name: 'root', dataVolume: { name: 'placed' } }],
    },
  };
  await laboratory.create('VirtualMachine', { metadata: { name: 'user' }, spec: { runStrategy: 'Always', template } });
  await laboratory.untilPhase('DataVolume', 'placed', 'Succeeded');
  await laboratory.delete('VirtualMachine', 'user');
  await laboratory.untilGone('VirtualMachine', 'user');
  await laboratory.delete('DataVolume', 'placed');
  await laboratory.untilGone('PersistentVolumeClaim', 'placed');
});

test('a layer outlives its snapshot and its source as long as a clone is based on it, and goes with the last one', async () => {
  const dataDir = laboratory.cluster.dataDir ?? '';
  await laboratory.delete('DataVolume', 'late');
  await laboratory.delete('VolumeSnapshot', 'early');
  await laboratory.untilGone('PersistentVolumeClaim', 'late');
  await laboratory.untilGone('VolumeSnapshot', 'early');
  expect(await readdir(join(dataDir, 'layers', 'frozen'))).toHaveLength(1);
  const from = { pvc: { namespace: NAMESPACE, name: 'clone' } };
  await laboratory.create('DataVolume', dataVolume('second', from, '128Mi'));
  await laboratory.untilPhase('DataVolume', 'second', 'Succeeded');
  const images = ['absent', 'small', 'contained', 'uncontained', 'archive', 'stream'];
  for (const name of ['clone', 'second', ...images]) {
    await laboratory.delete('DataVolume', name);
    await laboratory.untilGone('PersistentVolumeClaim', name);
  }
  expect(await readdir(join(dataDir, 'layers', 'frozen'))).toEqual([]);
  expect(await readdir(join(dataDir, 'volumes'))).toEqual([]);
});

test('a machine whose claim is missing waits for it, and reports it by conditions and an event that is not a warning', async () => {
  const spec = {
    domain: { memory: { guest: '64Mi' }, devices: { disks: [{ name: 'root', disk: { bus: 'virtio' } }] } },
    volumes: [{ name: 'root', persistentVolumeClaim: { claimName: 'nowhere' } }],
  };
  await laboratory.create('VirtualMachineInstance', { metadata: { name: 'waiting' }, spec });
  const { status } = await laboratory.until('VirtualMachineInstance', 'waiting', (seen) =>
    (seen.status?.conditions ?? []).some(({ type }) => type === 'Synchronized'),
  );
  expect(status?.phase).toBe('Pending');
  const reasons = (status?.conditions ?? []).map((condition) => [condition.type, condition.status, condition.reason]);
  expect(reasons.sort()).toEqual([
    ['PodScheduled', 'False', 'Unschedulable'],
    ['Ready', 'False', 'PodNotExists'],
    ['Synchronized', 'False', 'FailedPvcNotFound'],
  ]);
  const query = 'fieldSelector=involvedObject.name%3Dwaiting';
  const events = async () =>
    (await laboratory.client.send('GET', `/api/v1/namespaces/${NAMESPACE}/events?${query}`)).body['items'];
  // It is written after the conditions, as a controller does.
  await expect.poll(events).toEqual([expect.objectContaining({ type: 'Normal', reason: 'FailedPvcNotFound' })]);
});

test('a machine whose volume is still imported waits for it, and reports that not all of its volumes are ready', async () => {
  const spec = {
    domain: { memory: { guest: '64Mi' }, devices: { disks: [{ name: 'root', disk: { bus: 'virtio' } }] } },
    volumes: [{ name: 'root', dataVolume: { name: 'unready' } }],
  };
  const http = { url: 'http://192.0.2.1/never.qcow2' };
  const storage = { resources: { requests: { storage: '64Mi' } } };
  await laboratory.create('DataVolume', { metadata: { name: 'unready' }, spec: { source: { http }, storage } });
  await laboratory.create('VirtualMachineInstance', { metadata: { name: 'unready' }, spec });
  const { status } = await laboratory.until('VirtualMachineInstance', 'unready', (seen) =>
    (seen.status?.conditions ?? []).some(({ type }) => type === 'DataVolumesReady'),
  );
  expect(status?.phase).toBe('Pending');
  expect(status?.conditions).toContainEqual(
    expect.objectContaining({ type: 'DataVolumesReady', status: 'False', reason: 'NotAllDVsReady' }),
  );
  await laboratory.delete('VirtualMachineInstance', 'unready');
  await laboratory.delete('DataVolume', 'unready');
});

test('an export waits for its claim and its content, reports for which, and has links only while it is ready', async () => {
  const source = { apiGroup: '', kind: 'PersistentVolumeClaim', name: 'out' };
  await laboratory.create('Secret', { metadata: { name: 'out' }, stringData: { token: 'secret' } });
  const spec = { source, tokenSecretRef: 'out' };
  await laboratory.create('VirtualMachineExport', { metadata: { name: 'out' }, spec });
  const untilReady = (reason: string) =>
    laboratory.until('VirtualMachineExport', 'out', (seen) => condition(seen, 'Ready')?.reason === reason);
  const missing = await untilReady('Initializing');
  expect(missing.status).toMatchObject({ phase: 'Pending' });
  const message = `PersistentVolumeClaim ${NAMESPACE}/out not found`;
  await expect
    .poll(async () => condition((await laboratory.get('VirtualMachineExport', 'out')) ?? missing, 'PVCReady'))
    .toMatchObject({ status: 'False', reason: 'PVCNotFound', message });
  await laboratory.create('DataVolume', dataVolume('out', { http: { url: `${odd.url}/late` } }, '16Mi'));
  expect(condition(await untilReady('PVCPending'), 'Ready')?.message).toContain('out is not populated');
  isLateThere = true;
  const ready = await untilReady('PodReady');
  expect(ready.status).toMatchObject({ phase: 'Ready', links: expect.anything(), tokenSecretRef: 'out' });
  expect(condition(ready, 'PVCReady')).toMatchObject({ status: 'True', reason: 'PVCBound' });
});
