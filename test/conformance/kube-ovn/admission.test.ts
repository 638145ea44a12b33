import { afterAll, expect, test } from 'vitest';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import type { ClusterClient } from '../../harness/cluster-client.ts';
import { runLabels } from '../../harness/foreign-cluster.ts';
import { useNamespace } from '../../harness/use-namespace.ts';

type Json = Record<string, unknown>;

let client: ClusterClient;
const namespace = useNamespace('kube-ovn', (opened) => {
  client = opened;
});

afterAll(async () => {
  for (const name of ['a', 'b']) await client.send('DELETE', `/apis/kubeovn.io/v1/subnets/${namespace}-${name}`);
});

test('refuses overlap of subnets within one VPC only', async () => {
  const subnet = (name: string, spec: Json) => ({
    metadata: { name: `${namespace}-${name}`, labels: runLabels },
    spec,
  });
  const created = await client.create(
    RESOURCES.subnets,
    namespace,
    subnet('a', { vpc: `${namespace}-x`, cidrBlock: '10.77.1.0/24' }),
  );
  expect(created).toMatchObject({ code: 201 });
  expect(
    await client.create(
      RESOURCES.subnets,
      namespace,
      subnet('b', { vpc: `${namespace}-x`, cidrBlock: '10.77.0.0/16' }),
    ),
  ).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('is conflict with subnet') },
  });
  expect(
    await client.create(
      RESOURCES.subnets,
      namespace,
      subnet('b', { vpc: `${namespace}-y`, cidrBlock: '10.77.0.0/16' }),
    ),
  ).toMatchObject({
    code: 201,
  });
  expect(
    await client.create(RESOURCES.vpcs, namespace, {
      metadata: { name: `${namespace}-a`, labels: runLabels },
      spec: {},
    }),
  ).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('cannot have the same name') },
  });
  expect(
    await client.create(RESOURCES.subnets, namespace, subnet('c', { cidrBlock: '10.78.0.0/24', gateway: '10.79.0.1' })),
  ).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('is not in cidr') },
  });
});

test('refuses a gateway with fewer addresses than it has replicas', async () => {
  const spec = { vpc: 'v', externalSubnet: 'e', replicas: 2, internalIPs: ['10.0.0.2'] };
  expect(await client.create(RESOURCES.egressGateways, namespace, { metadata: { name: 'bad' }, spec })).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('internalIPs') },
  });
});
