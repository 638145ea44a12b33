import { randomUUID } from 'node:crypto';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { DriveSpec, FirmwareSpec, MachineSpec, NicSpec } from '../qemu/machine-spec.ts';
import { requireQuantity } from '../quantity.ts';
import type { Vmi } from './kubevirt-types.ts';

/** Inputs of a machine besides its VMI. */
export interface MachineInputs {
  readonly runDir: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly firmware: FirmwareSpec;
  readonly drives: readonly DriveSpec[];
  readonly nics: readonly NicSpec[];
  readonly tpmSocket?: string;
}

/** Turns a VMI into the machine that QEMU runs. */
export function machineSpecOf(vmi: Vmi, parts: MachineInputs): MachineSpec {
  const { domain, startStrategy } = vmi.spec;
  const { devices, cpu, firmware } = domain;
  const type = domain.machine?.type || 'q35';
  return {
    ...parts,
    name: `${vmi.metadata.namespace}_${vmi.metadata.name}`,
    uuid: firmware?.uuid ?? vmi.metadata.uid ?? randomUUID(),
    ...(firmware?.serial ? { smbiosSerial: firmware.serial } : {}),
    // A versioned type names a QEMU of another host; the guest sees a q35 either way.
    machineType: type.startsWith('pc-q35') ? 'q35' : type,
    memoryMiB: memoryMiB(vmi),
    cpu: {
      sockets: cpu?.sockets || 1,
      cores: cpu?.cores || 1,
      threads: cpu?.threads || 1,
      ...(cpu?.model ? { model: cpu.model } : {}),
      features: (cpu?.features ?? []).map(({ name, policy }) => ({
        name,
        enabled: policy !== 'disable' && policy !== 'forbid',
      })),
    },
    hasGraphics: devices.autoattachGraphicsDevice !== false,
    hasSerial: devices.autoattachSerialConsole !== false,
    hasTablet: (devices.inputs ?? []).length > 0,
    // Always: a guest without a source of randomness may wait minutes for it at its first boot.
    hasRng: true,
    hasPanicDevice: (devices.panicDevices ?? []).length > 0,
    startPaused: startStrategy === 'Paused',
    endsOnReboot: domain.rebootPolicy === 'Terminate',
    clockBase: domain.clock?.timezone === undefined ? 'utc' : 'localtime',
  };
}

/** Guest memory in MiB; some value is mandatory in KubeVirt too. */
export function memoryMiB({ spec: { domain } }: Vmi): number {
  const { memory, resources } = domain;
  const quantity = memory?.guest ?? resources?.requests?.memory ?? resources?.limits?.memory;
  if (quantity === undefined) throw new FarmError('InvalidRequest', 'The machine has no memory size');
  return Math.max(1, Math.floor(requireQuantity(quantity) / 2 ** 20));
}

/** Refuses state beyond one run of the machine, and unsupported features. */
export function assertOffered({ spec: { domain } }: Vmi): void {
  if (domain.firmware?.bootloader?.efi?.persistent || domain.devices.tpm?.persistent) {
    throw new FarmError('ExceedsLimits', 'Persistent firmware or TPM state is not offered by the embedded cluster');
  }
}
