import { join } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { driveArguments } from './drive-arguments.ts';
import { type MachineSpec, NIC_DEVICES, type NicSpec } from './machine-spec.ts';
import { layOut, type PciLayout } from './pci-address.ts';

/** Seccomp: denies calls that no machine needs, but a guest that took over QEMU would. */
const SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

/** The sockets and logs of a machine, below its run directory. */
export function machineSockets(runDir: string) {
  return {
    qmp: join(runDir, 'qmp.sock'),
    vnc: join(runDir, 'vnc.sock'),
    serial: join(runDir, 'serial.sock'),
    serialLog: join(runDir, 'serial.log'),
    stderr: join(runDir, 'qemu.log'),
  } as const;
}

/**
 * The arguments of `qemu-system-x86_64` for a machine. Pure: the same specification always yields the same machine, so
 * a guest finds its devices at the same addresses each time.
 */
export function qemuArguments(spec: MachineSpec): string[] {
  const sockets = machineSockets(spec.runDir);
  const pci = layOut(spec);
  return [
    ...['-name', `guest=${escapeComma(spec.name)}`, '-uuid', spec.uuid],
    ...['-no-user-config', '-nodefaults', '-no-shutdown', '-sandbox', SANDBOX],
    ...machineArguments(spec),
    ...cpuArguments(spec),
    ...['-m', `${spec.memoryMiB}`, '-rtc', `base=${spec.clockBase}`],
    ...(spec.smbiosSerial ? ['-smbios', `type=1,serial=${escapeComma(spec.smbiosSerial)}`] : []),
    ...firmwareArguments(spec),
    ...bootArguments(spec),
    ...(spec.endsOnReboot ? ['-action', 'reboot=shutdown'] : []),
    ...['-qmp', `unix:${sockets.qmp},server=on,wait=off`],
    ...serialArguments(spec, sockets),
    // Before all that takes the next free slot.
    ...pci.arguments,
    ...graphicsArguments(spec, sockets.vnc),
    ...driveArguments(withBootOrder(spec)),
    ...spec.nics.flatMap((nic) => nicArguments(nic, pci)),
    ...(spec.hasRng ? ['-device', 'virtio-rng-pci'] : []),
    ...(spec.hasPanicDevice ? ['-device', 'pvpanic', '-action', 'panic=pause'] : []),
    ...tpmArguments(spec.tpmSocket),
  ];
}

/** Commas separate QEMU's options; a doubled comma stands for itself. */
function escapeComma(text: string): string {
  return text.replaceAll(',', ',,');
}

function machineArguments({ machineType, accelerator, firmware }: MachineSpec): string[] {
  // SMM is what protects the variable store under secure boot; without it, it only costs time.
  const smm = firmware.kind === 'efi' && firmware.secureBoot ? 'on' : 'off';
  // Beyond 64 MiB of translated code a reboot inside the process becomes slow under TCG: the whole buffer is flushed.
  const accel = accelerator === 'kvm' ? ['-accel', 'kvm'] : ['-accel', 'tcg,thread=multi,tb-size=64'];
  return ['-machine', `${machineType},usb=off,smm=${smm},vmport=off`, ...accel];
}

/** Everything that TCG knows, so that any distribution starts on it; five-level page tables would only cost time. */
const TCG_CPU = 'max,la57=off';

function cpuArguments({ cpu, accelerator }: MachineSpec): string[] {
  const named = cpu.model !== undefined && !['host-model', 'host-passthrough'].includes(cpu.model);
  const best = accelerator === 'kvm' ? 'host' : TCG_CPU;
  const features = cpu.features.map(({ name, enabled }) => `,${enabled ? '+' : '-'}${name}`).join('');
  const count = cpu.sockets * cpu.cores * cpu.threads;
  return [
    ...['-cpu', `${named ? cpu.model : best}${features}`],
    ...['-smp', `${count},sockets=${cpu.sockets},cores=${cpu.cores},threads=${cpu.threads}`],
  ];
}

function firmwareArguments({ firmware }: MachineSpec): string[] {
  if (firmware.kind === 'bios') return [];
  const pflash = (unit: number, path: string, readOnly: 'on' | 'off') => [
    '-drive',
    `if=pflash,unit=${unit},format=raw,readonly=${readOnly},file=${escapeComma(path)}`,
  ];
  return [
    ...(firmware.secureBoot ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),
    ...pflash(0, firmware.code, 'on'),
    ...pflash(1, firmware.variables, 'off'),
  ];
}

function bootArguments({ startPaused }: MachineSpec): string[] {
  const menu = startPaused ? ',menu=on,splash-time=10000' : '';
  return ['-boot', `strict=on${menu}`, ...(startPaused ? ['-S'] : [])];
}

function serialArguments({ hasSerial }: MachineSpec, sockets: ReturnType<typeof machineSockets>): string[] {
  if (!hasSerial) return [];
  const chardev = `socket,id=serial0,path=${sockets.serial},server=on,wait=off,logfile=${sockets.serialLog},logappend=on`;
  return ['-chardev', chardev, '-serial', 'chardev:serial0'];
}

function graphicsArguments({ hasGraphics, hasTablet, firmware }: MachineSpec, vnc: string): string[] {
  if (!hasGraphics) return ['-display', 'none'];
  // The keyboard is the PS/2 one of the board: a USB keyboard loses keys at BIOS prompts.
  return [
    ...['-vnc', `unix:${vnc}`, '-device', firmware.kind === 'bios' ? 'VGA' : 'bochs-display'],
    ...(hasTablet ? ['-device', 'qemu-xhci,id=usb-input', '-device', 'usb-tablet,bus=usb-input.0'] : []),
  ];
}

function nicArguments(nic: NicSpec, { placeOf }: PciLayout): string[] {
  // Without a cable the card still exists: "restrict" blocks all traffic of the host.
  const netdev = nic.tap
    ? `tap,id=net-${nic.name},ifname=${nic.tap},script=no,downscript=no`
    : `user,id=net-${nic.name},restrict=on,ipv6=off`;
  // The network boot ROM costs seconds at start; KubeVirt too leaves it out unless the card is in the boot order.
  const rom = nic.bootOrder === undefined ? ',romfile=' : `,bootindex=${nic.bootOrder}`;
  const device = `${NIC_DEVICES[nic.model]},netdev=net-${nic.name},mac=${nic.mac}${rom}${placeOf(nic)}`;
  return ['-netdev', netdev, '-device', device];
}

function tpmArguments(socket: string | undefined): string[] {
  if (!socket) return [];
  return [
    ...['-chardev', `socket,id=tpm0,path=${escapeComma(socket)}`, '-tpmdev', 'emulator,id=tpm0,chardev=tpm0'],
    // KubeVirt's choice for a TPM that is not persistent.
    ...['-device', 'tpm-tis,tpmdev=tpm0'],
  ];
}

/** Without any boot order the first disk boots, as libvirt decides it. */
function withBootOrder(spec: MachineSpec): MachineSpec['drives'] {
  if ([...spec.drives, ...spec.nics].some((device) => device.bootOrder !== undefined)) return spec.drives;
  const first = spec.drives.find((drive) => drive.media === 'disk') ?? spec.drives[0];
  return spec.drives.map((drive) => (drive === first ? { ...drive, bootOrder: 1 } : drive));
}

/** Refuses what QEMU could not start, with a sentence instead of QEMU's own words. */
export function checkMachine(spec: MachineSpec): void {
  if (spec.machineType !== 'q35' && !spec.machineType.startsWith('pc-q35')) {
    throw new FarmError('ExceedsLimits', `The machine type "${spec.machineType}" is not offered; use "q35"`);
  }
}
