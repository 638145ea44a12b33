import { expect, test } from 'vitest';
import type { CompiledVm, VmDisk } from '../../common/contracts/module/compiled.ts';
import { buildRef, compiledVm, NO_FACTS } from '../../test/harness/module-factory.ts';
import { type ParentVm, planDisks } from './disks.ts';
import type { Facts } from './facts.ts';

const GIB = 2 ** 30;
const SHA256 = { algorithm: 'sha256', hex: 'ab' } as const;

function disk(name: string, gib: number, given: Partial<VmDisk> = {}): VmDisk {
  return { name, sizeBytes: gib * GIB, bus: 'virtio', storageClass: null, ...given };
}

const parent: ParentVm = {
  layerKey: 'key',
  vm: 'db',
  firmware: 'bios',
  disks: [
    { name: 'root', sizeBytes: 20 * GIB, bus: 'scsi' },
    { name: 'data', sizeBytes: 5 * GIB, bus: 'virtio' },
  ],
  nicModels: ['virtio'],
};

function inherit(disks: readonly VmDisk[]) {
  return planDisks({ vm: compiledVm({ source: buildRef('base'), disks }), facts: NO_FACTS, parent });
}

test("a layered VM has its parent's disks first, grown where it lists them larger, then blank ones", () => {
  const { disks, offered, problems } = inherit([disk('scratch', 1), disk('data', 9, { storageClass: 'fast' })]);
  const origin = (name: string) => ({ kind: 'layer', layerKey: 'key', vm: 'db', disk: name });
  expect(disks).toEqual([
    { name: 'root', sizeBytes: null, bus: 'scsi', storageClass: null, origin: origin('root') },
    { name: 'data', sizeBytes: 9 * GIB, bus: 'virtio', storageClass: 'fast', origin: origin('data') },
    { ...disk('scratch', 1), origin: { kind: 'blank' } },
  ]);
  expect(offered.map(({ name, sizeBytes }) => [name, sizeBytes / GIB])).toEqual([
    ['root', 20],
    ['data', 9],
    ['scratch', 1],
  ]);
  expect(problems).toEqual([]);
});

test("a disk cannot shrink below its parent's", () => {
  expect(inherit([disk('root', 19)]).problems).toEqual([
    {
      code: 'DiskTooSmall',
      message: 'disk "root" of VM "main" is smaller (19Gi) than its parent\'s (20Gi)',
      part: 'vms/main/disks/root',
    },
  ]);
});

test("a parent's boot disk cannot be put on the usb bus, a data disk can", () => {
  const message =
    'disk "root" of VM "main" is the boot disk, and VMs cannot boot from the usb bus: use virtio, scsi or sata';
  expect(inherit([disk('root', 20, { bus: 'usb' })]).problems).toEqual([
    { code: 'NotBootable', message, part: 'vms/main/disks/root' },
  ]);
  expect(inherit([disk('data', 5, { bus: 'usb' }), disk('new', 1, { bus: 'usb' })]).problems).toEqual([]);
});

test('an image goes to the first disk, the others are blank', () => {
  const url = 'https://images.example/a.qcow2';
  const disks = [disk('root', 10), disk('data', 2)];
  const origins = (checksum: typeof SHA256 | null) => {
    const vm = compiledVm({ source: { kind: 'url', url, credentials: null, checksum }, disks });
    return planDisks({ vm, facts: NO_FACTS, parent: undefined }).disks.map(({ origin }) => origin);
  };
  expect(origins(SHA256)).toEqual([{ kind: 'url', url, checksum: SHA256, identity: 'sha256:ab' }, { kind: 'blank' }]);
  // Its content is not known: it must not be shared.
  expect(origins(null)[0]).toMatchObject({ identity: null });
});

test('a container image is known by its digest, a claim by nothing', () => {
  const origin = (source: CompiledVm['source'], sources: Facts['sources'] = {}) => {
    const vm = compiledVm({ source, disks: [disk('root', 10), disk('data', 2)] });
    const { disks } = planDisks({ vm, facts: { ...NO_FACTS, sources }, parent: undefined });
    expect(disks[1]?.origin).toEqual({ kind: 'blank' });
    return disks[0]?.origin;
  };
  const image = 'quay.io/containerdisks/fedora:41';
  const digest = `sha256:${'ab'.repeat(32)}`;
  const kind = 'containerDisk';
  expect(origin({ kind, image })).toEqual({ kind: 'image', image, identity: null });
  const known = { [image]: { identity: `image:${digest}` } };
  expect(origin({ kind, image }, known)).toEqual({ kind: 'image', image, identity: `image:${digest}` });
  expect(origin({ kind, image: `quay.io/x@${digest}` })).toMatchObject({ identity: `image:${digest}` });
  const claim = { name: 'golden', namespace: 'images' };
  expect(origin({ kind: 'sourcePvc', ...claim })).toEqual({ kind: 'claim', ...claim });
});
