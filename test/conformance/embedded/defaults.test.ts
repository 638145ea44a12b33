import { afterAll, beforeAll, expect, test } from 'vitest';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { ClusterClient } from '../../harness/cluster-client.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from '../../harness/embedded-cluster.ts';

/** What controllers of a cluster would write over, or write only later: here none run. */
let cluster: EmbeddedCluster;
let client: ClusterClient;

beforeAll(async () => {
  cluster = await startEmbeddedCluster({ apiOnly: true });
  client = new ClusterClient(cluster.kubeconfig);
});

afterAll(async () => {
  await client.close();
  await cluster.stop();
});

test('keeps the identity of a machine whose firmware is taken out', async () => {
  const path = '/apis/kubevirt.io/v1/namespaces/default/virtualmachines';
  const spec = { domain: { memory: { guest: '64Mi' }, devices: {} } };
  const firmwareOf = ({ spec: machine }: Record<string, unknown>) =>
    (machine as { template: { spec: { domain: object } } }).template.spec.domain;
  const created = await client.create(RESOURCES.machines, 'default', {
    metadata: { name: 'kept' },
    spec: { runStrategy: 'Halted', template: { spec } },
  });
  const removal = { op: 'remove', path: '/spec/template/spec/domain/firmware' };
  const patched = await client.patch(`${path}/kept`, 'json-patch+json', [removal]);
  expect(firmwareOf(created.body)).toHaveProperty('firmware.uuid');
  expect(firmwareOf(patched.body)).toEqual(firmwareOf(created.body));
});

test('writes back into a subnet', async () => {
  const spec = { vpc: 'v', cidrBlock: '10.77.1.0/24' };
  const { body } = await client.create(RESOURCES.subnets, '', { metadata: { name: 'written' }, spec });
  const written = { gateway: '10.77.1.1', excludeIps: ['10.77.1.1'], protocol: 'IPv4', provider: 'ovn' };
  expect(body['spec']).toMatchObject(written);
});

test('keeps spec and status apart and counts generations of the spec', async () => {
  const collection = '/apis/kubevirt.io/v1/namespaces/default/virtualmachines';
  const template = { spec: { domain: { memory: { guest: '64Mi' }, devices: {} } } };
  await client.create(RESOURCES.machines, 'default', {
    metadata: { name: 'split' },
    spec: { runStrategy: 'Halted', template },
  });
  const path = `${collection}/split`;
  const merge = (url: string, patch: object) => client.patch(url, 'merge-patch+json', patch);
  await merge(path, { spec: { runStrategy: 'Manual' }, status: { created: true } });
  await merge(`${path}/status`, { spec: { runStrategy: 'Always' }, status: { ready: true } });
  const { body } = await client.send('GET', path);
  expect(body).toMatchObject({ metadata: { generation: 2 }, spec: { runStrategy: 'Manual' }, status: { ready: true } });
  expect(body['status']).not.toHaveProperty('created');
});
