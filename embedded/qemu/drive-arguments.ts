import type { DriveSpec } from './machine-spec.ts';
import { devicePlace } from './pci-address.ts';

/** SATA ports of one AHCI controller; the board's own is `ide`. */
const PORTS_PER_CONTROLLER = 6;

/** As many ports as libvirt gives a USB controller; QEMU's own default is four. */
const USB_PORTS = 15;

/** The arguments for the drives of a machine and the controllers that they need. */
export function driveArguments(drives: readonly DriveSpec[]): string[] {
  const sata = drives.filter((drive) => drive.bus === 'sata');
  const extraControllers = Math.max(0, Math.ceil(sata.length / PORTS_PER_CONTROLLER) - 1);
  return [
    ...Array.from({ length: extraControllers }, (_, index) => ['-device', `ich9-ahci,id=sata${index + 1}`]).flat(),
    ...(drives.some((drive) => drive.bus === 'scsi') ? ['-device', 'virtio-scsi-pci,id=scsi0'] : []),
    ...(drives.some((drive) => drive.bus === 'usb')
      ? ['-device', `qemu-xhci,id=usb-drives,p2=${USB_PORTS},p3=${USB_PORTS}`]
      : []),
    ...drives.flatMap((drive) => [...blockArguments(drive), '-device', device(drive, sata.indexOf(drive))]),
  ];
}

/** JSON form, because a path may hold any character. */
function blockArguments(drive: DriveSpec): string[] {
  if (drive.path === undefined) return [];
  const cache = { direct: drive.cache === 'none', 'no-flush': false };
  const node = {
    driver: drive.format,
    'node-name': `drive-${drive.name}`,
    'read-only': drive.readOnly,
    ...(drive.readOnly ? {} : { discard: 'unmap' }),
    cache,
    file: { driver: 'file', filename: drive.path, cache, ...(drive.readOnly ? {} : { discard: 'unmap' }) },
  };
  return ['-blockdev', JSON.stringify(node)];
}

function device(drive: DriveSpec, sataIndex: number): string {
  const options = [
    ...model(drive, sataIndex),
    `id=${drive.name}`,
    ...(drive.path === undefined ? [] : [`drive=drive-${drive.name}`]),
    ...(drive.serial ? [`serial=${drive.serial.slice(0, 36)}`] : []),
    ...(drive.bootOrder === undefined ? [] : [`bootindex=${drive.bootOrder}`]),
    // QEMU's default for a guest's flush is to trust the cache; write-through is an option of the device.
    // As KubeVirt: a fault of the storage is not the guest's business.
    'werror=stop,rerror=stop',
    ...(drive.cache === 'writethrough' && drive.bus !== 'usb' ? ['write-cache=off'] : []),
  ];
  return `${options.join(',')}${drive.bus === 'virtio' ? devicePlace(drive.pciAddress) : ''}`;
}

function model(drive: DriveSpec, sataIndex: number): string[] {
  const suffix = drive.media === 'cdrom' ? 'cd' : 'hd';
  switch (drive.bus) {
    case 'virtio':
      return ['virtio-blk-pci'];
    case 'scsi':
      return [`scsi-${suffix}`, 'bus=scsi0.0'];
    case 'usb':
      return ['usb-storage', 'bus=usb-drives.0'];
    case 'sata': {
      const controller = Math.floor(sataIndex / PORTS_PER_CONTROLLER);
      const bus = controller === 0 ? 'ide' : `sata${controller}`;
      return [`ide-${suffix}`, `bus=${bus}.${sataIndex % PORTS_PER_CONTROLLER}`];
    }
  }
}
