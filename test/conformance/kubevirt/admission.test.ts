import { expect, test } from 'vitest';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import type { ClusterClient } from '../../harness/cluster-client.ts';
import { useNamespace } from '../../harness/use-namespace.ts';

type Json = Record<string, unknown>;

let client: ClusterClient;
const namespace = useNamespace('kubevirt', (opened) => {
  client = opened;
});

const machines = `/apis/kubevirt.io/v1/namespaces/${namespace}/virtualmachines`;
const instances = `/apis/kubevirt.io/v1/namespaces/${namespace}/virtualmachineinstances`;
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
    'a pointer that is not a tablet',
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
  expect(await client.create(RESOURCES.machines, namespace, body)).toMatchObject({
    code: 422,
    body: { kind: 'Status', reason: 'Invalid', message: expect.stringContaining(message) },
  });
});

test('names the webhook and the fields of a refusal', async () => {
  const { body } = await client.create(RESOURCES.machines, namespace, machine({ domain: { devices: {} } }));
  expect(body['message']).toMatch(/^admission webhook "virtualmachine-validator.kubevirt.io" denied the request: /);
  expect(body['details']).toMatchObject({
    causes: [{ field: 'spec.template.spec.domain.memory', reason: 'FieldValueRequired' }],
  });
});

test('writes the defaults of a machine when it is created and when it is changed', async () => {
  const created = await client.create(RESOURCES.machines, namespace, machine(instanceSpec({})));
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

test('stores quantities in one form, and nothing that is empty', async () => {
  const requests = { cpu: '2.5', memory: '1024Mi', 'ephemeral-storage': '0' };
  const limits = { cpu: '3000m', memory: '1536Mi' };
  const devices = { interfaces: [], disks: [], rng: {} };
  const sent = instanceSpec({ resources: { requests, limits }, devices }, { networks: [], nodeSelector: {} });
  const { body } = await client.create(RESOURCES.machines, namespace, machine(sent, { dataVolumeTemplates: [] }));
  const spec = body['spec'] as { template: { spec: Json & { domain: Json } } };
  expect(spec.template.spec.domain).toMatchObject({
    memory: { guest: '64Mi' },
    resources: {
      requests: { cpu: '2500m', memory: '1Gi', 'ephemeral-storage': '0' },
      limits: { cpu: '3', memory: '1536Mi' },
    },
  });
  expect(spec.template.spec.domain['devices']).toEqual({ rng: {} });
  expect(Object.keys(spec.template.spec).sort()).toEqual(['architecture', 'domain']);
  expect(spec).not.toHaveProperty('dataVolumeTemplates');
});

test('lets only the system change the spec of an instance', async () => {
  const created = await client.create(RESOURCES.instances, namespace, {
    metadata: { generateName: 'vmi-' },
    spec: instanceSpec({}),
  });
  const { name } = created.body['metadata'] as { name: string };
  const patch = { spec: { terminationGracePeriodSeconds: 7 } };
  expect(await client.patch(`${instances}/${name}`, 'merge-patch+json', patch)).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('denied the request: update of VMI object is restricted') },
  });
});
