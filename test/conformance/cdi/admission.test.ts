import { expect, test } from 'vitest';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import type { ClusterClient } from '../../harness/cluster-client.ts';
import { useNamespace } from '../../harness/use-namespace.ts';

type Json = Record<string, unknown>;

let client: ClusterClient;
const namespace = useNamespace('cdi', (opened) => {
  client = opened;
});

const dataVolumes = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes`;
const storage = { resources: { requests: { storage: '1Gi' } } };
const http = (more: Json = {}) => ({ http: { url: 'http://images.example/disk.qcow2', ...more } });

const DATA_VOLUMES: readonly (readonly [string, Json, string])[] = [
  ['no source', { storage }, 'either Source or SourceRef'],
  [
    'a source and a reference to one',
    { source: http(), sourceRef: { kind: 'DataSource', name: 'a' }, storage },
    'either Source or SourceRef',
  ],
  [
    'a reference to another kind',
    { sourceRef: { kind: 'VolumeSnapshot', name: 'a' }, storage },
    'Unsupported sourceRef kind',
  ],
  ['a reference to nothing', { sourceRef: { kind: 'DataSource', name: '' }, storage }, 'Missing sourceRef name'],
  [
    'a claim without a namespace',
    { source: { pvc: { name: 'a', namespace: '' } }, storage },
    'source PVC is not valid',
  ],
  [
    'a snapshot without a name',
    { source: { snapshot: { name: '', namespace: 'a' } }, storage },
    'source snapshot is not valid',
  ],
  ['two sources', { source: { ...http(), blank: {} }, storage }, 'Multiple data volume sources'],
  ['no size', { source: http(), storage: {} }, 'Storage size is missing'],
  [
    'less than a MiB',
    { source: http(), storage: { resources: { requests: { storage: '1023Ki' } } } },
    'Storage size should be at least 1MiB',
  ],
  [
    'two targets',
    { source: http(), storage, pvc: { ...storage, accessModes: ['ReadWriteOnce'] } },
    'Duplicate storage definition',
  ],
  ['an invalid URL', { source: http({ url: 'images' }), storage }, 'Invalid data source URL'],
  [
    'a registry source without a scheme',
    { source: { registry: { url: 'quay.io/x' } }, storage },
    'Invalid data source URL',
  ],
  ['a registry source that names nothing', { source: { registry: {} }, storage }, 'either URL or ImageStream'],
  [
    'an unknown way to pull',
    { source: { registry: { url: 'docker://quay.io/x', pullMethod: 'fetch' } }, storage },
    'PullMethod not one of: pod, node',
  ],
  ['a checksum of the wrong length', { source: http({ checksum: 'sha256:abc' }), storage }, 'invalid checksum'],
];

test.each(DATA_VOLUMES)('refuses a data volume with %s', async (_, spec, message) => {
  expect(
    await client.create(RESOURCES.dataVolumes, namespace, { metadata: { generateName: 'dv-' }, spec }),
  ).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining(message) },
  });
});

test('keeps the spec of a data volume as it was created, and its claim its own', async () => {
  const url = `${dataVolumes}/fixed`;
  await client.create(RESOURCES.dataVolumes, namespace, {
    metadata: { name: 'fixed' },
    spec: { source: { blank: {} }, storage },
  });
  const patch = { spec: { preallocation: true } };
  expect(await client.patch(url, 'merge-patch+json', patch)).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('Cannot update DataVolume Spec') },
  });
  const claim = { metadata: { name: 'taken' }, spec: { accessModes: ['ReadWriteOnce'], ...storage } };
  await client.send('POST', `/api/v1/namespaces/${namespace}/persistentvolumeclaims`, claim);
  expect(
    await client.create(RESOURCES.dataVolumes, namespace, {
      metadata: { name: 'taken' },
      spec: { source: { blank: {} }, storage },
    }),
  ).toMatchObject({ code: 422, body: { message: expect.stringContaining('already exists') } });
});
