import { afterAll, beforeAll, expect, test } from 'vitest';
import { conformanceCluster, type EmbeddedCluster } from '../../harness/embedded-cluster.ts';
import { ClusterClient } from './cluster-client.ts';

type Json = Record<string, unknown>;

let cluster: EmbeddedCluster;
let client: ClusterClient;
const namespace = `refusals-${process.pid}`;
const machines = `/apis/kubevirt.io/v1/namespaces/${namespace}/virtualmachines`;
const instances = `/apis/kubevirt.io/v1/namespaces/${namespace}/virtualmachineinstances`;
const dataVolumes = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes`;
const snapshots = `/apis/snapshot.storage.k8s.io/v1/namespaces/${namespace}/volumesnapshots`;
const attachments = `/apis/k8s.cni.cncf.io/v1/namespaces/${namespace}/network-attachment-definitions`;
const egressGateways = `/apis/kubeovn.io/v1/namespaces/${namespace}/vpc-egress-gateways`;
const subnets = '/apis/kubeovn.io/v1/subnets';
const vpcs = '/apis/kubeovn.io/v1/vpcs';

beforeAll(async () => {
  cluster = await conformanceCluster({ apiOnly: true });
  client = new ClusterClient(cluster.kubeconfig);
  await client.send('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
});

afterAll(async () => {
  for (const name of ['a', 'b']) await client.send('DELETE', `${subnets}/${namespace}-${name}`);
  await client.send('DELETE', `/api/v1/namespaces/${namespace}`);
  await client.close();
  await cluster.stop();
});

const pod = { name: 'default', pod: {} };
const disk = (name: string, more: Json = {}) => ({ name, disk: { bus: 'virtio' }, ...more });
const emptyDisk = (name: string) => ({ name, emptyDisk: { capacity: '1Gi' } });

/** An instance spec with the given domain and the rest of it. */
function instanceSpec(domain: Json, rest: Json = {}): Json {
  return { domain: { memory: { guest: '64Mi' }, devices: {}, ...domain }, ...rest };
}

function machine(spec: Json, more: Json = {}): Json {
  return { metadata: { generateName: 'vm-' }, spec: { runStrategy: 'Halted', template: { spec }, ...more } };
}

const MACHINES: readonly (readonly [string, Json, string])[] = [
  ['no memory', machine({ domain: { devices: {} } }), 'no memory requested'],
  [
    'no run strategy',
    { metadata: { generateName: 'vm-' }, spec: { template: { spec: instanceSpec({}) } } },
    'must be specified',
  ],
  ['both run strategies', machine(instanceSpec({}), { running: true }), 'mutually exclusive'],
  [
    'an unknown run strategy',
    machine(instanceSpec({}), { runStrategy: 'Sometimes' }),
    'Invalid RunStrategy (Sometimes)',
  ],
  ['a machine type other than q35', machine(instanceSpec({ machine: { type: 'pc' } })), 'is not supported: pc'],
  [
    'secure boot without SMM',
    machine(instanceSpec({ firmware: { bootloader: { efi: {} } } })),
    'SecureBoot requires SMM',
  ],
  [
    'secure boot with SMM switched off',
    machine(
      instanceSpec({
        firmware: { bootloader: { efi: { secureBoot: true } } },
        features: { smm: { enabled: false } },
      }),
    ),
    'SecureBoot requires SMM',
  ],
  [
    'two boot loaders',
    machine(instanceSpec({ firmware: { bootloader: { efi: { secureBoot: false }, bios: {} } } })),
    'mutually exclusive',
  ],
  [
    'an IDE disk',
    machine(instanceSpec({ devices: { disks: [{ name: 'd', disk: { bus: 'ide' } }] } }, { volumes: [emptyDisk('d')] })),
    'IDE bus is not supported',
  ],
  [
    'a CD-ROM on virtio',
    machine(
      instanceSpec({ devices: { disks: [{ name: 'd', cdrom: { bus: 'virtio' } }] } }, { volumes: [emptyDisk('d')] }),
    ),
    'invalid for CD-ROM',
  ],
  ['a disk without volume', machine(instanceSpec({ devices: { disks: [disk('d')] } })), "Name 'd' not found"],
  [
    'boot order 0',
    machine(instanceSpec({ devices: { disks: [disk('d', { bootOrder: 0 })] } }, { volumes: [emptyDisk('d')] })),
    'must have a boot order > 0',
  ],
  [
    'the same boot order on a disk and an interface',
    machine(
      instanceSpec(
        {
          devices: {
            disks: [disk('d', { bootOrder: 1 })],
            interfaces: [{ name: 'default', bridge: {}, bootOrder: 1 }],
          },
        },
        { volumes: [emptyDisk('d')], networks: [pod] },
      ),
    ),
    'already set for a different device',
  ],
  [
    'masquerade on a multus network',
    machine(
      instanceSpec(
        { devices: { interfaces: [{ name: 'n', masquerade: {} }] } },
        { networks: [{ name: 'n', multus: { networkName: 'ns/nad' } }] },
      ),
    ),
    'Masquerade interface only implemented with pod network',
  ],
  [
    'an interface with two bindings',
    machine(
      instanceSpec({ devices: { interfaces: [{ name: 'default', bridge: {}, masquerade: {} }] } }, { networks: [pod] }),
    ),
    'exactly one binding',
  ],
  ['a network without interface', machine(instanceSpec({}, { networks: [pod] })), "'default' not found"],
  [
    'long inline cloud-init',
    machine(
      instanceSpec(
        { devices: { disks: [disk('c')] } },
        { volumes: [{ name: 'c', cloudInitNoCloud: { userData: 'x'.repeat(2049) } }] },
      ),
    ),
    'exceeds 2048 byte limit',
  ],
  [
    'a pointer that is no tablet',
    machine(instanceSpec({ devices: { inputs: [{ name: 'm', type: 'mouse' }] } })),
    'only tablet type',
  ],
  [
    'a Hyper-V feature without what it needs',
    machine(instanceSpec({ features: { hyperv: { synictimer: {}, synic: { enabled: false } } } })),
    "requires 'synic'",
  ],
  [
    'a data volume template that nothing uses',
    machine(instanceSpec({}), {
      dataVolumeTemplates: [
        {
          metadata: { name: 'dv' },
          spec: { source: { blank: {} }, storage: { resources: { requests: { storage: '1Gi' } } } },
        },
      ],
    }),
    "must be referenced in the VMI template's 'volumes' list",
  ],
];

test.each(MACHINES)('refuses a machine with %s', async (_, body, message) => {
  expect(await client.send('POST', machines, body)).toMatchObject({
    code: 422,
    body: { kind: 'Status', reason: 'Invalid', message: expect.stringContaining(message) },
  });
});

test('names the webhook and the fields of a refusal', async () => {
  const { body } = await client.send('POST', machines, machine({ domain: { devices: {} } }));
  expect(body['message']).toMatch(/^admission webhook "virtualmachine-validator.kubevirt.io" denied the request: /);
  expect(body['details']).toMatchObject({
    causes: [{ field: 'spec.template.spec.domain.memory', reason: 'FieldValueRequired' }],
  });
});

test('refuses unknown fields and wrong types with their paths', async () => {
  const unknown = machine(instanceSpec({ cpus: 2 }));
  expect(await client.send('POST', `${machines}?fieldValidation=Strict`, unknown)).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('strict decoding error: unknown field "spec.template.spec.domain.cpus"') },
  });
  expect(await client.send('POST', `${machines}?fieldValidation=Ignore&dryRun=All`, unknown)).toMatchObject({
    code: 201,
  });
  expect(await client.send('POST', machines, machine(instanceSpec({ cpu: { cores: 'two' } })))).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('spec.template.spec.domain.cpu.cores') },
  });
});

test('writes the defaults of a machine when it is created and when it is changed', async () => {
  const created = await client.send('POST', machines, machine(instanceSpec({})));
  const { name } = created.body['metadata'] as { name: string };
  const patched = await client.patch(`${machines}/${name}`, 'json-patch+json', [
    { op: 'remove', path: '/spec/template/spec/domain/firmware' },
  ]);
  for (const { body } of [created, patched]) {
    expect(body).toMatchObject({
      spec: {
        template: {
          metadata: { annotations: { 'kubevirt.io/pci-topology-version': 'v3' } },
          spec: {
            architecture: 'amd64',
            domain: { machine: { type: 'q35' }, firmware: { uuid: expect.any(String), serial: expect.any(String) } },
          },
        },
      },
    });
  }
});

test('lets nobody but the system change the spec of an instance', async () => {
  const created = await client.send('POST', instances, { metadata: { generateName: 'vmi-' }, spec: instanceSpec({}) });
  const { name } = created.body['metadata'] as { name: string };
  const patch = { spec: { terminationGracePeriodSeconds: 7 } };
  expect(await client.patch(`${instances}/${name}`, 'merge-patch+json', patch)).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('denied the request: update of VMI object is restricted') },
  });
});

const storage = { resources: { requests: { storage: '1Gi' } } };
const http = (more: Json = {}) => ({ http: { url: 'http://images.example/disk.qcow2', ...more } });

const DATA_VOLUMES: readonly (readonly [string, Json, string])[] = [
  ['no source', { storage }, 'either Source or SourceRef'],
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
  expect(await client.send('POST', dataVolumes, { metadata: { generateName: 'dv-' }, spec })).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining(message) },
  });
});

test('keeps the spec of a data volume as it was created, and its claim its own', async () => {
  const url = `${dataVolumes}/fixed`;
  await client.send('POST', dataVolumes, { metadata: { name: 'fixed' }, spec: { source: { blank: {} }, storage } });
  const patch = { spec: { preallocation: true } };
  expect(await client.patch(url, 'merge-patch+json', patch)).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('Cannot update DataVolume Spec') },
  });
  const claim = { metadata: { name: 'taken' }, spec: { accessModes: ['ReadWriteOnce'], ...storage } };
  await client.send('POST', `/api/v1/namespaces/${namespace}/persistentvolumeclaims`, claim);
  expect(
    await client.send('POST', dataVolumes, { metadata: { name: 'taken' }, spec: { source: { blank: {} }, storage } }),
  ).toMatchObject({ code: 422, body: { message: expect.stringContaining('already exists') } });
});

test('takes exactly one snapshot source and keeps it', async () => {
  const both = { persistentVolumeClaimName: 'a', volumeSnapshotContentName: 'b' };
  expect(
    await client.send('POST', snapshots, { metadata: { generateName: 's-' }, spec: { source: both } }),
  ).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('exactly one of') },
  });
  await client.send('POST', snapshots, {
    metadata: { name: 'kept' },
    spec: { source: { persistentVolumeClaimName: 'a' } },
  });
  const patch = { spec: { source: { persistentVolumeClaimName: 'other' } } };
  expect(await client.patch(`${snapshots}/kept`, 'merge-patch+json', patch)).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('persistentVolumeClaimName is immutable') },
  });
});

test('refuses overlap of subnets within one VPC only', async () => {
  const subnet = (name: string, spec: Json) => ({ metadata: { name: `${namespace}-${name}` }, spec });
  const created = await client.send('POST', subnets, subnet('a', { vpc: `${namespace}-x`, cidrBlock: '10.77.1.0/24' }));
  expect(created).toMatchObject({ code: 201 });
  expect(
    await client.send('POST', subnets, subnet('b', { vpc: `${namespace}-x`, cidrBlock: '10.77.0.0/16' })),
  ).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('is conflict with subnet') },
  });
  expect(
    await client.send('POST', subnets, subnet('b', { vpc: `${namespace}-y`, cidrBlock: '10.77.0.0/16' })),
  ).toMatchObject({
    code: 201,
  });
  expect(await client.send('POST', vpcs, { metadata: { name: `${namespace}-a` }, spec: {} })).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('cannot have the same name') },
  });
  expect(
    await client.send('POST', subnets, subnet('c', { cidrBlock: '10.78.0.0/24', gateway: '10.79.0.1' })),
  ).toMatchObject({
    code: 400,
    body: { message: expect.stringContaining('is not in cidr') },
  });
});

test('refuses an attachment whose configuration is no JSON and a gateway with too few addresses', async () => {
  expect(await client.send('POST', attachments, { metadata: { name: 'bad' }, spec: { config: '{' } })).toMatchObject({
    code: 400,
  });
  const spec = { vpc: 'v', externalSubnet: 'e', replicas: 2, internalIPs: ['10.0.0.2'] };
  expect(await client.send('POST', egressGateways, { metadata: { name: 'bad' }, spec })).toMatchObject({ code: 400 });
});

test('refuses names that are no names and objects of another kind', async () => {
  const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
  expect(await client.send('POST', configMaps, { metadata: { name: 'Not_A_Name' } })).toMatchObject({ code: 422 });
  expect(await client.send('POST', configMaps, { kind: 'Secret', metadata: { name: 'x' } })).toMatchObject({
    code: 400,
  });
  expect(await client.send('POST', '/api/v1/namespaces/absent/configmaps', { metadata: { name: 'x' } })).toMatchObject({
    code: 404,
  });
});
