import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoreV1Api } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import type { ClusterClient } from '../../harness/cluster-client.ts';
import { useNamespace } from '../../harness/use-namespace.ts';

let client: ClusterClient;
const namespace = useNamespace('api', (opened) => {
  client = opened;
});
const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
const machines = `/apis/kubevirt.io/v1/namespaces/${namespace}/virtualmachines`;

function configMap(name: string, metadata: object = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data: { a: '1' } };
}

function machine(name: string): object {
  const template = { spec: { domain: { memory: { guest: '64Mi' }, devices: {} } } };
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name },
    spec: { runStrategy: 'Halted', template },
  };
}

test('creates, reads, replaces and deletes through the Kubernetes client', async () => {
  const core = client.config.makeApiClient(CoreV1Api);
  const body = { metadata: { name: 'crud', namespace }, data: { a: '1' } };
  const created = await core.createNamespacedConfigMap({ namespace, body });
  expect(created.metadata?.uid).toBeDefined();
  await expect(core.createNamespacedConfigMap({ namespace, body })).rejects.toMatchObject({ code: 409 });
  const replaced = await core.replaceNamespacedConfigMap({
    namespace,
    name: 'crud',
    body: { ...created, data: { a: '2' } },
  });
  expect(replaced.data).toEqual({ a: '2' });
  await expect(core.replaceNamespacedConfigMap({ namespace, name: 'crud', body: created })).rejects.toMatchObject({
    code: 409,
  });
  await core.deleteNamespacedConfigMap({ namespace, name: 'crud' });
  await expect(core.readNamespacedConfigMap({ namespace, name: 'crud' })).rejects.toMatchObject({ code: 404 });
});

test('answers errors as a Status', async () => {
  expect(await client.send('GET', `${configMaps}/absent`)).toMatchObject({
    code: 404,
    body: {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      message: 'configmaps "absent" not found',
      reason: 'NotFound',
      details: { name: 'absent', kind: 'configmaps' },
      code: 404,
    },
  });
  expect(
    await client.exchange({ method: 'GET', path: configMaps, headers: { authorization: 'Bearer wrong' } }),
  ).toMatchObject({
    code: 401,
    body: { reason: 'Unauthorized' },
  });
  expect(
    await client.exchange({
      method: 'PATCH',
      path: `${configMaps}/absent`,
      body: '{}',
      headers: { 'content-type': 'text/plain' },
    }),
  ).toMatchObject({
    code: 415,
    body: { reason: 'UnsupportedMediaType' },
  });
});

test('takes JSON patches and merge patches, and strategic ones for core kinds only', async () => {
  await client.send('POST', configMaps, configMap('patched'));
  await client.send('POST', machines, machine('patched'));
  const path = `${configMaps}/patched`;
  const add = { op: 'add', path: '/data/b', value: '2' };
  expect(await client.patch(path, 'json-patch+json', [add])).toMatchObject({
    code: 200,
    body: { data: { a: '1', b: '2' } },
  });
  const tested = await client.patch(path, 'json-patch+json', [{ op: 'test', path: '/data/b', value: '3' }, add]);
  expect(tested).toMatchObject({ code: 422, body: { reason: 'Invalid' } });
  expect(await client.patch(path, 'merge-patch+json', { data: { a: null } })).toMatchObject({
    body: { data: { b: '2' } },
  });
  const strategic = 'strategic-merge-patch+json';
  expect(await client.patch(path, strategic, { data: { c: '3' } })).toMatchObject({
    code: 200,
    body: { data: { b: '2', c: '3' } },
  });
  expect(await client.patch(`${machines}/patched`, strategic, {})).toMatchObject({ code: 415 });
});

test('stores nothing on a dry run', async () => {
  const dry = await client.send('POST', `${configMaps}?dryRun=All`, configMap('dry'));
  expect(dry).toMatchObject({ code: 201, body: { metadata: { name: 'dry' } } });
  expect(await client.send('GET', `${configMaps}/dry`)).toMatchObject({ code: 404 });
  const { body } = await client.send('POST', configMaps, configMap('undried'));
  const patch = { metadata: { uid: null, creationTimestamp: null }, data: { a: '2' } };
  const patched = await client.patch(`${configMaps}/undried?dryRun=All`, 'merge-patch+json', patch);
  const { uid, creationTimestamp } = body['metadata'] as { uid: string; creationTimestamp: string };
  expect(patched).toMatchObject({ code: 200, body: { metadata: { uid, creationTimestamp }, data: { a: '2' } } });
  expect((await client.send('GET', `${configMaps}/undried`)).body).toEqual(body);
});

test('makes names of generateName', async () => {
  const { body } = await client.send('POST', configMaps, { metadata: { generateName: 'gen-' } });
  expect(body).toMatchObject({ metadata: { name: expect.stringMatching(/^gen-[a-z0-9]{5}$/) } });
});

test('deletes only what the preconditions mean', async () => {
  await client.send('POST', configMaps, configMap('guarded'));
  const wrong = { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } };
  expect(await client.send('DELETE', `${configMaps}/guarded`, wrong)).toMatchObject({ code: 409 });
  const { body } = await client.send('GET', `${configMaps}/guarded`);
  const { uid } = body['metadata'] as { uid: string };
  expect(await client.send('DELETE', `${configMaps}/guarded`, { preconditions: { uid } })).toMatchObject({
    code: 200,
    body: { kind: 'Status', status: 'Success' },
  });
});

test('deletes a collection by label', async () => {
  for (const [name, tier] of Object.entries({ c1: 'x', c2: 'x', c3: 'y' })) {
    await client.send('POST', configMaps, configMap(name, { labels: { tier } }));
  }
  await client.send('DELETE', `${configMaps}?labelSelector=tier%3Dx`);
  const { body } = await client.send('GET', `${configMaps}?labelSelector=tier`);
  expect(body['items']).toMatchObject([{ metadata: { name: 'c3' } }]);
});

test('pages through a list', async () => {
  for (const name of ['p1', 'p2', 'p3'])
    await client.send('POST', configMaps, configMap(name, { labels: { page: 'me' } }));
  const first = (await client.send('GET', `${configMaps}?labelSelector=page&limit=2`)).body;
  expect(first['items']).toMatchObject([{ metadata: { name: 'p1' } }, { metadata: { name: 'p2' } }]);
  const token = (first['metadata'] as { continue: string }).continue;
  const second = (await client.send('GET', `${configMaps}?labelSelector=page&limit=2&continue=${token}`)).body;
  expect(second['items']).toMatchObject([{ metadata: { name: 'p3' } }]);
});

test('holds a deleted object for its finalizers', async () => {
  await client.send('POST', configMaps, configMap('held', { finalizers: ['example.org/hold'] }));
  expect(await client.send('DELETE', `${configMaps}/held`)).toMatchObject({
    body: { metadata: { deletionTimestamp: expect.any(String) } },
  });
  await client.patch(`${configMaps}/held`, 'merge-patch+json', { metadata: { finalizers: null } });
  expect(await client.send('GET', `${configMaps}/held`)).toMatchObject({ code: 404 });
});

test('takes what kubectl generates itself', async () => {
  const literals = ['--from-literal=a=1', '--from-literal=b=zwei'];
  await client.kubectl('create', 'configmap', 'generated', '-n', namespace, ...literals);
  expect((await client.send('GET', `${configMaps}/generated`)).body).toMatchObject({ data: { a: '1', b: 'zwei' } });
  await client.kubectl('create', 'secret', 'generic', 'generated', '-n', namespace, ...literals);
  const { body } = await client.send('GET', `/api/v1/namespaces/${namespace}/secrets/generated`);
  expect(body).toMatchObject({ type: 'Opaque', data: { a: 'MQ==', b: 'endlaQ==' } });
  await client.kubectl('create', 'namespace', `${namespace}-x`);
  expect(await client.kubectl('delete', 'namespace', `${namespace}-x`)).toContain('deleted');
  expect(await client.kubectl('auth', 'can-i', 'create', 'virtualmachines.kubevirt.io')).toBe('yes\n');
});

test('refuses a body that is too large', async () => {
  const data = { a: 'x'.repeat(4 * 1024 * 1024) };
  expect(await client.send('POST', configMaps, { metadata: { name: 'large' }, data })).toMatchObject({ code: 413 });
});

test('works with kubectl', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-apply-'));
  const file = join(folder, 'machine.json');
  await writeFile(file, JSON.stringify({ ...machine('shown'), metadata: { name: 'shown', namespace } }));
  expect(await client.kubectl('apply', '-f', file)).toBe('virtualmachine.kubevirt.io/shown created\n');
  expect(await client.kubectl('apply', '-f', file)).toBe('virtualmachine.kubevirt.io/shown unchanged\n');
  expect(await client.kubectl('get', 'vm', '-A')).toMatch(/NAMESPACE\s+NAME\s+AGE\s+STATUS\s+READY\n/);
  expect(await client.kubectl('get', 'vm', 'shown', '-n', namespace, '-o', 'yaml')).toContain('runStrategy: Halted');
  expect(await client.kubectl('describe', 'vm', 'shown', '-n', namespace)).toContain('Run Strategy:  Halted');
  const patch = '{"spec":{"runStrategy":"Manual"}}';
  expect(await client.kubectl('patch', 'vm', 'shown', '-n', namespace, '--type=merge', '-p', patch)).toContain(
    'patched',
  );
  expect(await client.kubectl('delete', 'vm', 'shown', '-n', namespace)).toContain('deleted');
  expect(await client.kubectl('get', 'all', '-n', namespace)).not.toContain('shown');
  await rm(folder, { recursive: true });
});
