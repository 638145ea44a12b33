import { expect, test } from 'vitest';
import { qemuArguments } from './command-line.ts';
import type { DriveSpec, MachineSpec, NicSpec } from './machine-spec.ts';

const spec: MachineSpec = {
  name: 'farm_box',
  uuid: '6f1c2f0e-0000-4000-8000-000000000001',
  runDir: '/run/box',
  accelerator: 'tcg',
  machineType: 'q35',
  memoryMiB: 256,
  cpu: { sockets: 1, cores: 2, threads: 1, features: [] },
  firmware: { kind: 'bios' },
  drives: [],
  nics: [],
  hasGraphics: true,
  hasSerial: true,
  hasTablet: false,
  hasRng: true,
  hasPanicDevice: false,
  startPaused: false,
  endsOnReboot: false,
  clockBase: 'utc',
};

const drive = (name: string, changes: Partial<DriveSpec> = {}): DriveSpec => ({
  name,
  media: 'disk',
  bus: 'virtio',
  path: `/volumes/${name}.qcow2`,
  format: 'qcow2',
  readOnly: false,
  ...changes,
});

/** The values that follow an option. */
function valuesOf(option: string, changes: Partial<MachineSpec> = {}): string[] {
  const args = qemuArguments({ ...spec, ...changes });
  return args.flatMap((argument, index) => (argument === option ? [args[index + 1] ?? ''] : []));
}

const devices = (changes: Partial<MachineSpec>) => valuesOf('-device', changes);

test('without any boot order only the first disk boots', () => {
  const drives = [drive('cd', { media: 'cdrom', bus: 'sata' }), drive('root'), drive('data')];
  expect(devices({ drives }).filter((device) => device.includes('bootindex'))).toEqual([
    'virtio-blk-pci,id=root,drive=drive-root,bootindex=1,werror=stop,rerror=stop',
  ]);
});

test('with a boot order what has none is not tried', () => {
  const drives = [drive('root'), drive('cd', { media: 'cdrom', bus: 'sata', bootOrder: 2 })];
  const nics = [{ name: 'lan', model: 'e1000', mac: '02:00:00:00:00:01', tap: 't1', bootOrder: 1 }] as const;
  expect(devices({ drives, nics }).filter((device) => device.includes('bootindex'))).toEqual([
    'ide-cd,bus=ide.0,id=cd,drive=drive-cd,bootindex=2,werror=stop,rerror=stop',
    'e1000,netdev=net-lan,mac=02:00:00:00:00:01,bootindex=1,bus=bridge,addr=1.0',
  ]);
  expect(valuesOf('-boot', { drives })).toEqual(['strict=on']);
});

test('a seventh SATA drive gets a second controller', () => {
  const drives = Array.from({ length: 7 }, (_, index) => drive(`d${index}`, { bus: 'sata' }));
  const list = devices({ drives });
  expect(list).toContain('ich9-ahci,id=sata1');
  expect(list).toContain('ide-hd,bus=sata1.0,id=d6,drive=drive-d6,werror=stop,rerror=stop');
});

test('a paused start waits and shows the boot menu', () => {
  expect(valuesOf('-boot', { startPaused: true })).toEqual(['strict=on,menu=on,splash-time=10000']);
  expect(qemuArguments({ ...spec, startPaused: true })).toContain('-S');
});

test('secure boot protects its variables, plain UEFI does not need to', () => {
  const efi = (secureBoot: boolean) =>
    qemuArguments({ ...spec, firmware: { kind: 'efi', code: '/c.fd', variables: '/v.fd', secureBoot } }).join(' ');
  expect(efi(true)).toContain('smm=on');
  expect(efi(true)).toContain('driver=cfi.pflash01,property=secure,value=on');
  expect(efi(false)).toContain('smm=off');
  expect(efi(false)).not.toContain('secure');
});

test('a TPM is the kind that KubeVirt gives, behind the socket of its process', () => {
  expect(valuesOf('-tpmdev', { tpmSocket: '/run/box/tpm.sock' })).toEqual(['emulator,id=tpm0,chardev=tpm0']);
  expect(valuesOf('-chardev', { tpmSocket: '/run/a,b/tpm.sock' })).toContain('socket,id=tpm0,path=/run/a,,b/tpm.sock');
  expect(devices({ tpmSocket: '/run/box/tpm.sock' })).toContain('tpm-tis,tpmdev=tpm0');
  expect(devices({}).join()).not.toContain('tpm');
});

test('all USB disks are on one controller that has a port for each', () => {
  const list = devices({ drives: [drive('root'), drive('a', { bus: 'usb' }), drive('b', { bus: 'usb' })] });
  expect(list).toContain('qemu-xhci,id=usb-drives,p2=15,p3=15');
  expect(list.filter((device) => device.startsWith('usb-storage'))).toEqual([
    'usb-storage,bus=usb-drives.0,id=a,drive=drive-a,werror=stop,rerror=stop',
    'usb-storage,bus=usb-drives.0,id=b,drive=drive-b,werror=stop,rerror=stop',
  ]);
});

test('a fixed PCI address beyond the root bus gets the root ports before it', () => {
  const nic = { name: 'lan', model: 'virtio', mac: '02:00:00:00:00:01', tap: 't1' } as const;
  const list = devices({ nics: [{ ...nic, pciAddress: '0000:02:00.0' }] });
  expect(list.filter((device) => device.startsWith('pcie-root-port'))).toHaveLength(2);
  expect(list.find((device) => device.startsWith('virtio-net'))).toContain('bus=pci.2,addr=0.0');
  expect(devices({ nics: [{ ...nic, pciAddress: '0000:00:07.0' }] }).join()).toContain('bus=pcie.0,addr=7.0');
  expect(() => devices({ nics: [{ ...nic, pciAddress: '7' }] })).toThrow('is not a PCI address');
});

test('cards without an address are behind root ports, conventional ones first, in any order of the cards', () => {
  const card = (name: string, model: NicSpec['model'], pciAddress?: string): NicSpec => ({
    ...{ name, model, mac: '02:00:00:00:00:01', tap: name },
    ...(pciAddress === undefined ? {} : { pciAddress }),
  });
  const slotted = [card('a', 'e1000', '0000:00:11.0'), card('b', 'e1000e', '0000:00:13.0')];
  const list = devices({ nics: [card('first', 'virtio'), ...slotted, card('old', 'rtl8139'), card('other', 'igb')] });
  const placeOf = (name: string) => /,bus=.*/.exec(list.find((text) => text.includes(`net-${name},`)) ?? '')?.[0];
  // The firmware numbers buses as it meets them: the first port's is 1, the bridge's 2, that of the next port 3.
  expect(list.slice(0, 4)).toEqual([
    'pcie-root-port,id=pci.1,chassis=1,bus=pcie.0,addr=2.0,multifunction=on',
    'pcie-root-port,id=pci.2,chassis=2,bus=pcie.0,addr=2.1,multifunction=on',
    'pcie-root-port,id=pci.3,chassis=3,bus=pcie.0,addr=2.2,multifunction=on',
    'pcie-pci-bridge,id=bridge,bus=pci.1',
  ]);
  expect(['first', 'a', 'b', 'old', 'other'].map(placeOf)).toEqual([
    ',bus=pci.2',
    ',bus=pcie.0,addr=11.0',
    ',bus=pcie.0,addr=13.0',
    ',bus=bridge,addr=1.0',
    ',bus=pci.3',
  ]);
  expect(devices({ nics: [card('x', 'virtio', '0000:00:02.0'), card('y', 'virtio')] })[0]).toContain('addr=3.0');
});

test('a comma in a name does not become an option', () => {
  expect(valuesOf('-name', { name: 'a,debug-threads=on' })).toEqual(['guest=a,,debug-threads=on']);
});

test('a card without a cable reaches nothing', () => {
  const nics = [{ name: 'default', model: 'virtio', mac: '02:00:00:00:00:01' }] as const;
  expect(valuesOf('-netdev', { nics })).toEqual(['user,id=net-default,restrict=on,ipv6=off']);
});
