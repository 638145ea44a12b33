import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ClusterClient } from '../../harness/cluster-client.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from '../../harness/embedded-cluster.ts';

let folder = '';
let auditLog = '';
let cluster: EmbeddedCluster;
let client: ClusterClient;
const configMaps = '/api/v1/namespaces/default/configmaps';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-lifecycle-'));
  auditLog = join(folder, 'audit.jsonl');
  cluster = await startEmbeddedCluster({ apiOnly: true, args: ['--audit-log', auditLog] });
  client = new ClusterClient(cluster.kubeconfig);
});

afterAll(async () => {
  await client.close();
  await cluster.stop();
  await rm(folder, { recursive: true });
});

test('keeps its address, its token and its objects over a restart', async () => {
  const before = await readFile(cluster.kubeconfig, 'utf8');
  const { body } = await client.send('POST', configMaps, { metadata: { name: 'kept' }, data: { a: '1' } });
  await cluster.restart();
  expect(await readFile(cluster.kubeconfig, 'utf8')).toBe(before);
  expect((await client.send('GET', `${configMaps}/kept`)).body).toEqual(body);
  expect((await client.send('POST', configMaps, { metadata: { name: 'kept' } })).code).toBe(409);
});

test('keeps the positions of watches, and everything else, when it is killed', async () => {
  const { body: list } = await client.send('GET', configMaps);
  const { resourceVersion } = list['metadata'] as { resourceVersion: string };
  const { body } = await client.send('POST', configMaps, { metadata: { name: 'survivor' }, data: { a: '1' } });
  await cluster.kill('SIGKILL');
  await cluster.restart();
  expect((await client.send('GET', `${configMaps}/survivor`)).body).toEqual(body);
  const watch = (from: number) =>
    client.send('GET', `${configMaps}?watch=true&timeoutSeconds=1&resourceVersion=${from}`);
  expect(await watch(Number(resourceVersion))).toMatchObject({
    code: 200,
    body: { type: 'ADDED', object: { metadata: { name: 'survivor' } } },
  });
  // The killed server may have answered a client with this, but it is not on disk.
  const { metadata } = body as { metadata: { resourceVersion: string } };
  expect(await watch(Number(metadata.resourceVersion) + 1)).toMatchObject({
    body: { type: 'ERROR', object: { code: 410, reason: 'Expired' } },
  });
});

test('lets only the owner read the kubeconfig', async () => {
  expect((await stat(cluster.kubeconfig)).mode & 0o777).toBe(0o600);
});

test('refuses a second server on the same data', async () => {
  await expect(startEmbeddedCluster({ apiOnly: true, dataDir: cluster.dataDir ?? '' })).rejects.toThrow(
    'Another embedded cluster already runs',
  );
});

test('reports its versions where a preflight looks for them', async () => {
  const kubeVirt = await client.send('GET', '/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts');
  expect(kubeVirt.body['items']).toMatchObject([{ status: { observedKubeVirtVersion: 'v1.9.0', phase: 'Deployed' } }]);
  const cdi = await client.send('GET', '/apis/cdi.kubevirt.io/v1beta1/cdis/cdi');
  expect(cdi.body).toMatchObject({ status: { observedVersion: 'v1.66.0' } });
  const definition = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/vpcs.kubeovn.io';
  expect((await client.send('GET', definition)).body).toMatchObject({ spec: { group: 'kubeovn.io' } });
});

test('deletes what a deleted object owned', async () => {
  const owner = await client.send('POST', configMaps, { metadata: { name: 'owner' } });
  const { uid } = owner.body['metadata'] as { uid: string };
  const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }];
  const owned = await client.send('POST', configMaps, { metadata: { name: 'owned', ownerReferences } });
  const { resourceVersion } = owned.body['metadata'] as { resourceVersion: string };
  await client.send('DELETE', `${configMaps}/owner`);
  const query = `watch=true&resourceVersion=${resourceVersion}&fieldSelector=metadata.name%3Downed`;
  for await (const { type } of client.watch(`${configMaps}?${query}`)) {
    expect(type).toBe('DELETED');
    break;
  }
  expect((await client.send('GET', `${configMaps}/owned`)).code).toBe(404);
});

test('records every request in the terms of access rules', async () => {
  const path = '/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachines/absent/start';
  await client.send('PUT', path);
  await client.send('GET', '/apis/kubevirt.io/v1/virtualmachines');
  await cluster.restart();
  const records = (await readFile(auditLog, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const common = { durationMs: expect.any(Number), userAgent: expect.any(String) };
  expect(records).toContainEqual({
    ...common,
    verb: 'update',
    group: 'subresources.kubevirt.io',
    resource: 'virtualmachines',
    subresource: 'start',
    namespace: 'default',
    code: 404,
  });
  expect(records).toContainEqual({
    ...common,
    verb: 'list',
    group: 'kubevirt.io',
    resource: 'virtualmachines',
    subresource: '',
    namespace: '',
    code: 200,
  });
  expect(records.some(({ verb, resource }) => verb === 'watch' && resource === 'configmaps')).toBe(true);
});
