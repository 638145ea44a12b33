import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { LayerSpec } from '../../common/contracts/layers.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';
import { clusterConfig } from '../../test/harness/api-server.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from '../../test/harness/embedded-cluster.ts';
import { compiledModule, nic } from '../../test/harness/module-factory.ts';
import { stagePhase } from '../../test/harness/phase-context.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { buildScope } from '../cluster/build-scope.ts';
import { ensureNetwork, ensureWaysOut } from './ensure-network.ts';
import { gatewayObject, subnetObject, vpcObject } from './network-objects.ts';

let server: EmbeddedCluster;
let config: ClusterConfig;

beforeAll(async () => {
  server = await startEmbeddedCluster({ apiOnly: true });
  config = { ...clusterConfig(server.kubeconfig, { namespace: 'default' }), externalSubnet: 'outside' };
}, 60_000);

afterAll(() => server.stop());

function stage() {
  const { spec } = sampleModule({ name: 'm', layerKey: 'k', layerBuild: '01J00000000000000000000001' });
  const subnet = { cidr: '10.7.0.0/24', gateway: '10.7.0.1', dhcp: true, dns: [], unmanaged: false };
  const card = { ...nic({ name: 'a' }), subnet: 'a', slot: 1, mac: '02:00:00:00:00:01', ip: '10.7.0.2' };
  const network: LayerSpec['network'] = {
    vpcs: [{ name: 'lab', internet: true }],
    subnets: [
      { ...subnet, name: 'a', vpc: 'lab', relay: '10.7.0.254', egress: '10.7.0.253' },
      {
        ...subnet,
        name: 'wire',
        vpc: 'lab',
        cidr: '10.8.0.0/28',
        gateway: '10.8.0.13',
        unmanaged: true,
        relay: null,
        egress: null,
      },
    ],
  };
  const vms = spec.vms.map((vm) => ({ ...vm, nics: [{ ...card, model: 'virtio' as const }] }));
  const module = compiledModule({ name: 'm', vms: [{ name: 'vm' }] });
  const context = stagePhase({
    clusterConfig: config,
    spec: { ...spec, module, vms, network },
    vm: 'vm',
    phase: 'import',
  });
  return { ...context, scope: buildScope(context) };
}

/** Asks under a name that is not one of the farm: rights are not compared with it (test/rights). */
const kubeOvn = () => new ClusterClient(config, { userAgent: 'kube-ovn-controller' });

function reportAsKubeOvn(path: string, status: object) {
  const contentType = 'application/merge-patch+json';
  return kubeOvn().call({ method: 'PATCH', path: `${path}/status`, body: { status }, contentType });
}

test('every planned address is excluded, so that KubeOVN gives it only to its planned owner', () => {
  const { scope } = stage();
  const [managed, wire] = scope.spec.network.subnets.map((subnet) => subnetObject(scope, subnet).spec?.excludeIps);
  expect(managed).toEqual(['10.7.0.1', '10.7.0.2', '10.7.0.253', '10.7.0.254']);
  // The highest ones are left for KubeOVN, all others for guests.
  expect(wire).toEqual(['10.8.0.1..10.8.0.12', '10.8.0.13']);
  expect(gatewayObject(scope, 'lab', 'outside')?.spec).toMatchObject({
    internalSubnet: scope.names.subnet('a'),
    internalIPs: ['10.7.0.253'],
    policies: [{ snat: true, subnets: [scope.names.subnet('a')] }],
  });
});

test('the default route to the gateway is in the VPC from its creation', () => {
  const { scope } = stage();
  const route = { policy: 'policyDst', cidr: '0.0.0.0/0', nextHopIP: '10.7.0.253' };
  expect(vpcObject(scope, 'lab').spec).toEqual({ staticRoutes: [route] });
  const drop = { priority: 30_500, match: 'ip4.dst == 192.168.99.0/24', action: 'drop' };
  expect(vpcObject(scope, 'lab', ['192.168.99.0/24']).spec).toEqual({ staticRoutes: [route], policyRoutes: [drop] });
});

test('a gateway that is ready with an address outside the VPC does not lead out', async () => {
  const { cluster, scope, signal } = stage();
  const options = { scope, clusterConfig: config, signal };
  const gateway = gatewayObject(scope, 'lab', 'outside');
  if (!gateway) throw new Error('unreachable');
  await cluster.create(RESOURCES.egressGateways, gateway);
  const show = (address: string) =>
    reportAsKubeOvn(cluster.path(RESOURCES.egressGateways, scope.names.gateway('lab'), {}), {
      ...{ ready: true, internalIPs: [address], conditions: [], phase: 'Completed' },
    });
  await show('192.168.200.86');
  await expect(ensureWaysOut(cluster, options)).rejects.toMatchObject({
    failure: { reason: 'ClusterRefused', message: expect.stringContaining('192.168.200.86 instead of 10.7.0.253') },
  });
  await show('10.7.0.253');
  await ensureWaysOut(cluster, options);
});

test('a subnet is waited for until it is ready: there is no switch to plug anything into before', async () => {
  const { cluster, scope, signal } = stage();
  let isDone = false;
  const making = ensureNetwork(cluster, { scope, clusterConfig: config, signal }).then(() => {
    isDone = true;
  });
  const there = { signal, deadlineMs: 10_000, what: 'the object', until: (object: unknown) => object };
  await waitFor(cluster, { resource: RESOURCES.vpcs, name: scope.names.vpc('lab') }, there);
  const vpc = cluster.path(RESOURCES.vpcs, scope.names.vpc('lab'), {});
  await reportAsKubeOvn(vpc, { standby: true, router: 'lab' });
  const subnets = scope.spec.network.subnets.map(({ name }) => scope.names.subnet(name));
  for (const name of subnets) await waitFor(cluster, { resource: RESOURCES.subnets, name }, there);
  const [first = '', second = ''] = subnets.map((name) => cluster.path(RESOURCES.subnets, name, {}));
  const condition = (type: string, status: string) => ({ conditions: [{ type, status }] });
  await reportAsKubeOvn(first, condition('Ready', 'True'));
  await reportAsKubeOvn(second, condition('Validated', 'True'));
  await reportAsKubeOvn(second, condition('Ready', 'False'));
  // Whatever the farm concluded from these has been concluded when a later watch has seen a later object.
  await kubeOvn().create(RESOURCES.secrets, { metadata: { name: 'later' } });
  await waitFor(kubeOvn(), { resource: RESOURCES.secrets, name: 'later' }, there);
  expect(isDone).toBe(false);
  await reportAsKubeOvn(second, condition('Ready', 'True'));
  await making;
});
