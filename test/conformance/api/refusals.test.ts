import { expect, test } from 'vitest';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import type { ClusterClient } from '../../harness/cluster-client.ts';
import { useNamespace } from '../../harness/use-namespace.ts';

let client: ClusterClient;
const namespace = useNamespace('refusals', (opened) => {
  client = opened;
});

const snapshots = `/apis/snapshot.storage.k8s.io/v1/namespaces/${namespace}/volumesnapshots`;

function machine(domain: object): object {
  const spec = { domain: { memory: { guest: '64Mi' }, devices: {}, ...domain } };
  return { metadata: { generateName: 'vm-' }, spec: { runStrategy: 'Halted', template: { spec } } };
}

test('refuses unknown fields and wrong types with their paths', async () => {
  const unknown = machine({ cpus: 2 });
  expect(await client.create(RESOURCES.machines, namespace, unknown, 'fieldValidation=Strict')).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('strict decoding error: unknown field "spec.template.spec.domain.cpus"') },
  });
  expect(
    await client.create(RESOURCES.machines, namespace, unknown, 'fieldValidation=Ignore&dryRun=All'),
  ).toMatchObject({
    code: 201,
  });
  expect(await client.create(RESOURCES.machines, namespace, machine({ cpu: { cores: 'two' } }))).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('spec.template.spec.domain.cpu.cores') },
  });
});

test('takes exactly one snapshot source and keeps it', async () => {
  const both = { persistentVolumeClaimName: 'a', volumeSnapshotContentName: 'b' };
  expect(
    await client.create(RESOURCES.snapshots, namespace, { metadata: { generateName: 's-' }, spec: { source: both } }),
  ).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('exactly one of') },
  });
  await client.create(RESOURCES.snapshots, namespace, {
    metadata: { name: 'kept' },
    spec: { source: { persistentVolumeClaimName: 'a' } },
  });
  const patch = { spec: { source: { persistentVolumeClaimName: 'other' } } };
  expect(await client.patch(`${snapshots}/kept`, 'merge-patch+json', patch)).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('persistentVolumeClaimName is immutable') },
  });
});

test('refuses names that are not names and objects of another kind', async () => {
  const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
  expect(await client.send('POST', configMaps, { metadata: { name: 'Not_A_Name' } })).toMatchObject({ code: 422 });
  expect(await client.send('POST', configMaps, { kind: 'Secret', metadata: { name: 'x' } })).toMatchObject({
    code: 400,
  });
  expect(await client.send('POST', '/api/v1/namespaces/absent/configmaps', { metadata: { name: 'x' } })).toMatchObject({
    code: 404,
  });
});

test('refuses a custom object without its kind', async () => {
  const path = `/apis/kubevirt.io/v1/namespaces/${namespace}/virtualmachines`;
  const object = machine({}) as Record<string, unknown>;
  expect(await client.send('POST', path, object)).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining("Object 'Kind' is missing in") },
  });
  expect(await client.send('POST', path, { kind: 'VirtualMachine', ...object })).toMatchObject({ code: 400 });
});

test('adds no finalizer to what is being deleted', async () => {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  await client.send('POST', path, { metadata: { name: 'going', finalizers: ['example.org/a'] } });
  await client.send('DELETE', `${path}/going`);
  const patch = (finalizers: string[]) =>
    client.patch(`${path}/going`, 'merge-patch+json', { metadata: { finalizers } });
  expect(await patch(['example.org/a', 'example.org/b'])).toMatchObject({
    code: 422,
    body: {
      message: expect.stringContaining('no new finalizers can be added if the object is being deleted'),
    },
  });
  expect(await patch([])).toMatchObject({ code: 200 });
});

const BROKEN: readonly (readonly [string, object, object])[] = [
  ['a rule of metadata', { labels: { x: 'a b' } }, {}],
  ['the schema', {}, { spec: { template: { spec: { domain: { cpu: { cores: 'two' } } } } } }],
];

test.each(BROKEN)('calls a stale write stale, also where it breaks %s by now', async (_, metadata, rest) => {
  const created = await client.create(RESOURCES.machines, namespace, machine({}));
  const { name, resourceVersion } = created.body['metadata'] as Record<string, string>;
  const path = `/apis/kubevirt.io/v1/namespaces/${namespace}/virtualmachines/${name}`;
  const patch = (body: object) => client.patch(path, 'merge-patch+json', body);
  expect(await patch({ metadata: { annotations: { changed: 'meanwhile' } } })).toMatchObject({ code: 200 });
  const stale = await patch({ ...rest, metadata: { ...metadata, resourceVersion } });
  expect(stale).toMatchObject({ code: 409, body: { reason: 'Conflict' } });
  expect(await patch({ ...rest, metadata })).toMatchObject({ code: 422 });
});

const METADATA: readonly (readonly [string, object, number])[] = [
  ['an annotation whose key is not a name', { annotations: { 'a b': 'x' } }, 422],
  ['an annotation that is not text', { annotations: { a: 1 } }, 400],
  ['a finalizer that is not a name', { finalizers: ['a b'] }, 422],
  ['a finalizer of the core without a domain', { finalizers: ['nodomain'] }, 422],
  ['labels that are a text', { labels: 'x' }, 400],
  ['a label that is a number', { labels: { a: 1 } }, 400],
  ['an owner without uid', { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'x' }] }, 422],
];

test.each(METADATA)('refuses %s', async (_, metadata, code) => {
  const path = `/api/v1/namespaces/${namespace}/configmaps?dryRun=All`;
  expect(await client.send('POST', path, { metadata: { name: 'odd', ...metadata } })).toMatchObject({ code });
});

test('drops labels and annotations that are null, and what is empty', async () => {
  const metadata = { name: 'nulls', labels: { a: null, b: 'x' }, annotations: null, finalizers: [] };
  const { code, body } = await client.send('POST', `/api/v1/namespaces/${namespace}/configmaps?dryRun=All`, {
    metadata,
  });
  expect(code).toBe(201);
  expect(body['metadata']).not.toHaveProperty('annotations');
  expect(body['metadata']).not.toHaveProperty('finalizers');
  expect(body['metadata']).toMatchObject({ labels: { b: 'x' } });
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  await client.send('POST', path, { metadata: { name: 'emptied', annotations: { a: 'x' }, labels: {} } });
  const emptied = await client.patch(`${path}/emptied`, 'merge-patch+json', { metadata: { annotations: { a: null } } });
  expect(emptied.body['metadata']).not.toHaveProperty('annotations');
  expect(emptied.body['metadata']).not.toHaveProperty('labels');
});

test('warns of unknown and repeated fields, and refuses them where it is asked to', async () => {
  const path = `/api/v1/namespaces/${namespace}/configmaps?dryRun=All`;
  const send = (query: string, body: string) => client.exchange({ method: 'POST', path: `${path}${query}`, body });
  const twice = '{"metadata":{"name":"odd"},"data":{"a":"1","a":"2"}}';
  const unknown = '{"metadata":{"name":"odd","nonsense":1},"nonsense":1}';
  for (const [body, field] of [
    [twice, 'duplicate field "data.a"'],
    [unknown, 'unknown field "nonsense"'],
    [unknown, 'unknown field "metadata.nonsense"'],
  ] as const) {
    expect(await send('', body)).toMatchObject({
      code: 201,
      warnings: expect.stringContaining(JSON.stringify(field).slice(1, -1)),
    });
    expect(await send('&fieldValidation=Strict', body)).toMatchObject({
      code: 400,
      body: { message: expect.stringContaining(field) },
    });
  }
  const { body } = await send('', unknown);
  expect(body).not.toHaveProperty('nonsense');
  expect(await send('&fieldValidation=Sometimes', unknown)).toMatchObject({ code: 422 });
});

const CORE: readonly (readonly [string, string, object, number])[] = [
  ['a pod without containers', 'pods', { spec: {} }, 422],
  ['a container without an image', 'pods', { spec: { containers: [{ name: 'a' }] } }, 422],
  [
    'a port beyond all ports',
    'pods',
    { spec: { containers: [{ name: 'a', image: 'a', ports: [{ containerPort: 99_999 }] }] } },
    422,
  ],
  ['containers that are not a list', 'pods', { spec: { containers: 'a' } }, 400],
  ['a secret that is not base64', 'secrets', { data: { a: '%' } }, 400],
  ['a secret key that is not a name', 'secrets', { data: { 'a b': '' } }, 422],
  ['a number in a configuration', 'configmaps', { data: { a: 1 } }, 400],
  ['a claim without a size', 'persistentvolumeclaims', { spec: { accessModes: ['ReadWriteOnce'] } }, 422],
  [
    'a claim without access modes',
    'persistentvolumeclaims',
    { spec: { resources: { requests: { storage: '1Gi' } } } },
    422,
  ],
];

test.each(CORE)('refuses %s', async (_, plural, content, code) => {
  const path = `/api/v1/namespaces/${namespace}/${plural}?dryRun=All`;
  expect(await client.send('POST', path, { metadata: { name: 'odd' }, ...content })).toMatchObject({ code });
});
