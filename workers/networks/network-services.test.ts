import { expect, test } from 'vitest';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../common/kubernetes/teardown.ts';
import { type ImportLab, NO_CLOUD_INIT, NOT_THERE, useImportLab, vmPlan } from '../../test/harness/import-lab.ts';
import { compiledModule } from '../../test/harness/module-factory.ts';
import { stagePhase } from '../../test/harness/phase-context.ts';
import { buildScope } from '../cluster/build-scope.ts';
import { ensureNetwork } from './ensure-network.ts';
import { areUsedAtBoot, ensureServices } from './network-services.ts';
import { networkOf } from './networks.ts';

let lab: ImportLab;

useImportLab((opened) => {
  lab = opened;
});

test.each([
  ['a guest that only lets the farm in', { cloudInit: NO_CLOUD_INIT }, false],
  ['a guest with user data', { cloudInit: { ...NO_CLOUD_INIT, userData: '#cloud-config\n' } }, true],
  ['a guest with user data of a Secret', { cloudInit: { ...NO_CLOUD_INIT, userDataFrom: NOT_THERE } }, true],
  ['a guest that is typed to', { bootCommand: ['<enter>'] }, true],
  ['a guest with an answer file', { floppy: ['ks.cfg'] }, true],
] as const)('knows whether %s uses the network at boot', (_what, vm, isUsed) => {
  const module = compiledModule({ name: 'lab', vms: [{ name: 'db', ...vm }] });
  expect(areUsedAtBoot({ ...lab.spec({ kind: 'blank' }), module })).toBe(isUsed);
});

test('gives a VPC its egress, and reports the missing configuration', async () => {
  const layerBuild = '01J00000000000000000000004';
  const closed = lab.spec(lab.urlOrigin(lab.image.sha256));
  const subnets = closed.network.subnets.map((subnet) => ({ ...subnet, egress: '10.77.0.253' }));
  const first = vmPlan('db', '10.77.0.2', { kind: 'blank' });
  const spec = { ...closed, vms: [first], network: { vpcs: [{ name: 'lab', internet: true }], subnets } };
  const staged = stagePhase({ clusterConfig: lab.config, spec, vm: 'db', phase: 'import', layerBuild });
  const { signal } = staged;
  const cluster = new ClusterClient(lab.config);
  const scope = buildScope(staged);
  await ensureNetwork(staged.cluster, { scope, clusterConfig: lab.config, signal });
  const refused = networkOf(spec).requestWaysOut(staged, scope);
  await expect(refused).rejects.toMatchObject({
    failure: { reason: 'ClusterRefused', message: expect.stringContaining('externalSubnet') },
  });
  const open = { ...lab.config, externalSubnet: 'outside' };
  await ensureServices({ ...staged, clusterConfig: open }, scope);
  const gateway = await cluster.get(RESOURCES.egressGateways, scope.names.gateway('lab'));
  expect(gateway?.spec).toMatchObject({ replicas: 1, externalSubnet: 'outside' });
  // A gateway without a planned address takes the lowest free one, which is the first VM's.
  const { items } = await cluster.list(RESOURCES.ips, {});
  const taken = items.filter((item) => item.spec?.subnet === scope.names.subnet('net'));
  expect(taken.map((item) => item.spec?.ipAddress).toSorted()).toEqual(['10.77.0.253', '10.77.0.254']);
  expect(gateway?.status?.internalIPs).toEqual(['10.77.0.253']);
  const identity = { layerBuild, generation: 1 };
  await teardownBuild(cluster, { farm: 'test', network: 'kube-ovn', identity, signal, deadlineMs: 60_000 });
  expect(await cluster.get(RESOURCES.vpcs, scope.names.vpc('lab'))).toBeUndefined();
}, 60_000);
