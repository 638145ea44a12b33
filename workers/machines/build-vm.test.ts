import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { LayerSpec, NicPlan, VmPlan } from '../../common/contracts/layers.ts';
import type { CompiledModule, CompiledVm } from '../../common/contracts/module/compiled.ts';
import { ANNOTATIONS } from '../../common/contracts/object-keys.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { clusterConfig } from '../../test/harness/api-server.ts';
import { conformanceCluster } from '../../test/harness/embedded-cluster.ts';
import { compiledModule } from '../../test/harness/module-factory.ts';
import { stagePhase } from '../../test/harness/phase-context.ts';
import { type BuildScope, buildScope } from '../cluster/build-scope.ts';
import { wire } from '../networks/kube-ovn.ts';
import { attachmentObjects, subnetObject } from '../networks/network-objects.ts';
import { buildVm } from './build-vm.ts';
import { templateVm } from './template-vm.ts';

const builtVm = (scope: BuildScope, ratio?: number) =>
  buildVm(scope, wire(scope, scope.plan.nics, { isGuarded: true }), ratio);

function subnetOf(scope: BuildScope, name: string) {
  const plan = scope.spec.network.subnets.find((subnet) => subnet.name === name);
  if (!plan) throw new Error('unreachable');
  return subnetObject(scope, plan);
}

const MIB = 1024 ** 2;
const resources = new ReleaseStack();
let config: ClusterConfig;

/** An API that stores and refuses objects as KubeVirt's admission does, and runs nothing. */
beforeAll(async () => {
  const embedded = await conformanceCluster({ apiOnly: true });
  resources.defer('cluster', () => embedded.stop());
  config = clusterConfig(embedded.kubeconfig, { namespace: 'default' });
}, 60_000);

afterAll(() => resources.close());

const nics: NicPlan[] = [
  { name: 'wire', subnet: 'bare', model: 'virtio', slot: 2, mac: '02:00:00:00:00:02', ip: null },
  { name: 'up', subnet: 'office', model: 'e1000', slot: 1, mac: '02:00:00:00:00:01', ip: '10.9.0.5' },
  { name: 'dmz', subnet: 'dmz', model: 'e1000e', slot: null, mac: '02:00:00:00:00:03', ip: '10.8.0.5' },
];

function nicOf(subnet: string): NicPlan {
  return { name: subnet, subnet, model: 'virtio', slot: null, mac: '', ip: null };
}

function scopeOf(vm: Partial<CompiledVm>, plan: Partial<VmPlan> = {}) {
  const subnet = { dhcp: true, dns: [], unmanaged: false, relay: null, egress: null };
  const disk = { bus: 'virtio', storageClass: null, origin: { kind: 'blank' } } as const;
  const spec: LayerSpec = {
    schema: 1,
    layerKey: 'ef'.repeat(32),
    module: compiledModule({ name: 'm', vms: [{ name: 'vm', resources: { cpu: 1, memoryBytes: 512 * MIB }, ...vm }] }),
    vms: [
      {
        name: 'vm',
        disks: [
          { ...disk, name: 'root', sizeBytes: MIB },
          { ...disk, name: 'data', sizeBytes: MIB, bus: 'scsi' },
        ],
        ...{ isos: [], nics, templateNics: nics.slice(1, 2), cpu: 2.5, memoryBytes: 4096 * MIB },
        ...plan,
      },
    ],
    network: {
      vpcs: [{ name: 'lab', internet: false }],
      subnets: [
        { ...subnet, name: 'bare', vpc: 'lab', cidr: '10.7.0.0/24', gateway: '10.7.0.253', unmanaged: true },
        { ...subnet, name: 'office', vpc: 'lab', cidr: '10.9.0.0/24', gateway: '10.9.0.1', relay: '10.9.0.254' },
        { ...subnet, name: 'dmz', vpc: 'lab', cidr: '10.8.0.0/24', gateway: '10.8.0.1' },
      ],
    },
    fileHashes: {},
    objects: {},
  };
  return buildScope(stagePhase({ clusterConfig: config, spec, vm: 'vm', phase: 'boot-keystrokes' }));
}

test('leaves it to KubeVirt how much of a node’s processors a machine asks for', () => {
  expect(builtVm(scopeOf({}, {})).spec?.template?.spec?.domain).toMatchObject({ cpu: { cores: 3 } });
  expect(builtVm(scopeOf({}, {})).spec?.template?.spec?.domain.resources).toBeUndefined();
});

test.each([
  [2, '1500m'],
  [10_000, '1m'],
])('asks for one processor of the node for %i of its own where the farm sets it', (ratio, cpu) => {
  const { domain } = builtVm(scopeOf({}), ratio).spec.template.spec ?? {};
  expect(domain?.resources).toEqual({ requests: { cpu } });
});

test('gives each of two cards on one subnet an attachment, an address and a place of its own', () => {
  const pair = ['a', 'b'].map((name, index) => ({
    ...{ name, subnet: 'office', model: 'virtio' as const, slot: null },
    ...{ mac: `02:00:00:00:00:1${index}`, ip: `10.9.0.1${index}` },
  }));
  const scope = scopeOf({}, { nics: pair });
  const { metadata, spec } = builtVm(scope).spec.template;
  const names = attachmentObjects(scope, 'office').map(({ metadata: { name } = {} }) => name);
  expect(new Set(names).size).toBe(2);
  expect(spec?.networks?.map(({ multus }) => multus?.networkName)).toEqual(names.map((name) => `default/${name}`));
  const addressOf = (name?: string) => metadata?.annotations?.[`${name}.default.ovn.kubernetes.io/ip_address`];
  expect(names.map(addressOf)).toEqual(['10.9.0.10', '10.9.0.11']);
  // KubeOVN knows the Subnet by the first one, and by its name for the other.
  expect(subnetOf(scope, 'office').spec?.provider).toBe(`${names[0]}.default.ovn`);
  const switchOf = (name?: string) => metadata?.annotations?.[`${name}.default.ovn.kubernetes.io/logical_switch`];
  expect(names.map(switchOf)).toEqual([scope.names.subnet('office'), scope.names.subnet('office')]);
});

test('lets a guest that is on one subnet only send under no other address, while it is built', () => {
  const guarded = (nics: readonly NicPlan[], isBuild = true) => {
    const scope = scopeOf({}, { nics, templateNics: nics });
    const { template } = (isBuild ? builtVm(scope) : templateVm(scope, [], config)).spec;
    return Object.keys(template.metadata?.annotations ?? {}).filter((key) => key.endsWith('/port_security')).length;
  };
  expect(guarded(nics.slice(1, 2))).toBe(1);
  expect(guarded(nics.slice(1, 2), false)).toBe(0);
  // A router between two subnets, or beside a bare segment.
  expect(guarded(nics.slice(1))).toBe(0);
  expect(guarded(nics.slice(0, 2))).toBe(0);
  expect(guarded(nics.slice(0, 1))).toBe(0);
});

const iso = { url: 'http://x/i.iso', checksum: null, identity: 'i' };
const cloudInit = { userData: null, userDataFrom: null, networkData: 'version: 2' };

test.each<[string, Partial<CompiledVm>, Partial<VmPlan>]>([
  ['a plain machine', {}, {}],
  ['a small one', {}, { memoryBytes: 100 * MIB, cpu: 0.5 }],
  ['one with an odd amount of memory', {}, { memoryBytes: 1024 * MIB + 4096 }],
  ['UEFI', { firmware: { kind: 'efi', secureBoot: false, tpm: false } }, {}],
  ['secure boot and TPM', { firmware: { kind: 'efi', secureBoot: true, tpm: true } }, {}],
  ['two ISOs, cloud-init and answers', { cloudInit, floppy: ['ks.cfg'] }, { isos: [iso, iso] }],
  ['a processor and machine of its choice', { cpuModel: 'host-passthrough', machineType: 'pc-q35-7.2' }, {}],
])('admission takes %s, as build VM and as template', async (_case, vm, plan) => {
  const cluster = new ClusterClient(config);
  const scope = scopeOf(vm, plan);
  const disks = [{ name: 'root', snapshot: 'snap-root', sizeBytes: MIB, bus: 'virtio' as const }];
  for (const object of [builtVm(scope), templateVm(scope, disks, { ...config, storageClass: 'fast' })]) {
    const created = await cluster.create(RESOURCES.machines, object);
    expect(created.spec.template.spec?.domain.memory).toEqual(object.spec.template.spec?.domain.memory);
    await cluster.delete(RESOURCES.machines, object.metadata?.name ?? '');
  }
});

test('gives addresses to every NIC, the default route to the first managed one, and its relay as resolver', () => {
  const { template } = builtVm(scopeOf({})).spec;
  const nad = (subnet: string) => `sw-01j00000000000000000000000-g1-nad-${subnet}.default.ovn.kubernetes.io`;
  expect(template.metadata?.annotations).toEqual({
    [`${nad('bare')}/logical_switch`]: 'sw-01j00000000000000000000000-g1-net-bare',
    [`${nad('bare')}/mac_address`]: '02:00:00:00:00:02',
    [`${nad('office')}/logical_switch`]: 'sw-01j00000000000000000000000-g1-net-office',
    [`${nad('office')}/mac_address`]: '02:00:00:00:00:01',
    [`${nad('office')}/ip_address`]: '10.9.0.5',
    [`${nad('office')}/routes`]: '[{"gw":"10.9.0.1"}]',
    [`${nad('dmz')}/logical_switch`]: 'sw-01j00000000000000000000000-g1-net-dmz',
    [`${nad('dmz')}/mac_address`]: '02:00:00:00:00:03',
    [`${nad('dmz')}/ip_address`]: '10.8.0.5',
  });
  expect(template.spec).toMatchObject({
    dnsPolicy: 'None',
    dnsConfig: { nameservers: ['10.9.0.254'], searches: ['m.internal'] },
    hostname: 'vm',
  });
  expect(template.spec?.domain.devices.interfaces?.map(({ pciAddress }) => pciAddress)).toEqual([
    '0000:00:12.0',
    '0000:00:11.0',
    undefined,
  ]);
});

test('plugs cards on bare segments in by the binding of the cluster, where no other server answers DHCP', () => {
  const scope = scopeOf({}, { templateNics: nics });
  const bare = buildVm(scope, wire(scope, scope.plan.nics, { bareBinding: 'managedtap' }));
  const template = templateVm(scope, [], { ...config, bareBinding: 'managedtap' });
  for (const { spec } of [bare, template]) {
    const [wired, up] = spec.template.spec?.domain.devices.interfaces ?? [];
    expect(wired).toMatchObject({ name: 'wire', binding: { name: 'managedtap' } });
    expect(wired).not.toHaveProperty('bridge');
    expect(up).toMatchObject({ name: 'up', bridge: {} });
  }
});

test('names at most three name servers, as many as a pod may have', () => {
  const lans = ['a', 'b', 'c', 'd'];
  const cards = lans.map((name, index) => ({ ...nicOf(name), mac: `02:00:00:00:01:0${index}` }));
  const scope = scopeOf({}, { nics: cards });
  const subnets = lans.map((name, index) => ({
    ...{ name, vpc: name, cidr: `10.2${index}.0.0/24`, gateway: `10.2${index}.0.1`, relay: `10.2${index}.0.254` },
    ...{ dhcp: true, dns: [], unmanaged: false, egress: null },
  }));
  const vpcs = lans.map((name) => ({ name, internet: false }));
  const { spec } = builtVm({ ...scope, spec: { ...scope.spec, network: { vpcs, subnets } } }).spec.template;
  expect(spec?.dnsConfig?.nameservers).toEqual(['10.20.0.254', '10.21.0.254', '10.22.0.254']);
});

test.each([
  [true, true, { secureBoot: true, persistent: false }, { enabled: true }, {}],
  [false, false, { secureBoot: false, persistent: false }, undefined, undefined],
])('secure boot %s and TPM %s are on the build VM and on the template', (secureBoot, tpm, efi, smm, device) => {
  const scope = scopeOf({ firmware: { kind: 'efi', secureBoot, tpm } });
  for (const { spec } of [builtVm(scope), templateVm(scope, [], config)]) {
    const domain = spec.template.spec?.domain;
    expect(domain?.firmware?.bootloader).toEqual({ efi });
    expect(domain?.features?.smm).toEqual(smm);
    expect(domain?.devices.tpm).toEqual(device);
  }
});

test('boots the first disk, then the CDs, and nothing else', () => {
  const scope = scopeOf({ cloudInit, floppy: ['user-data'] }, { isos: [iso, iso] });
  const { spec } = builtVm(scope).spec.template;
  expect(spec?.domain.devices.disks?.map(({ name, bootOrder }) => [name, bootOrder])).toEqual([
    ['root', 1],
    ['data', undefined],
    ['iso-0', 2],
    ['iso-1', 3],
    ['cloud-init', undefined],
    ['answers', undefined],
  ]);
  expect(spec?.volumes?.at(-1)).toMatchObject({ secret: { volumeLabel: 'cidata' } });
});

test("the template has the module's own resources and NICs, and no build media", () => {
  const scope = scopeOf({ cloudInit, floppy: ['ks.cfg'] }, { isos: [iso] });
  const disks = [{ name: 'root', snapshot: 'snap-root', sizeBytes: 5 * MIB, bus: 'virtio' as const }];
  const { spec, metadata } = templateVm(scope, disks, config);
  const { [ANNOTATIONS.recipe]: recipe = '', ...others } = metadata?.annotations ?? {};
  expect(others).toEqual({ 'kubevirt.io/immediate-data-volume-creation': 'false' });
  // What a clone is made of, and nothing that a build is done with.
  const [kept] = (JSON.parse(recipe) as CompiledModule).vms;
  const nothing = { source: { kind: 'blank' }, isos: [], floppy: [], bootCommand: [], steps: [] };
  expect(kept).toMatchObject({ ...nothing, name: 'vm', cloudInit: { userData: null, networkData: 'version: 2' } });
  expect(spec.runStrategy).toBe('Halted');
  expect(spec.dataVolumeTemplates?.[0]?.spec).toEqual({
    source: { snapshot: { namespace: 'default', name: 'snap-root' } },
    storage: {},
  });
  const machine = spec.template.spec;
  expect(machine?.volumes?.map(({ name }) => name)).toEqual(['root', 'data']);
  expect(machine?.networks?.map(({ name }) => name)).toEqual(['up']);
  expect(machine?.domain.memory?.guest).toBe(String(512 * MIB));
  expect(JSON.stringify(spec)).not.toContain('ssh');
});
