import { type BuildIdentity, objectName } from '../../common/contracts/object-names.ts';

/** Names of all objects of a layer build's generation; the same in every phase, so that each finds what others made. */
export function buildNames(identity: BuildIdentity) {
  const name = (...parts: string[]) => objectName(identity, ...parts);
  return {
    machine: (vm: string) => name(vm),
    /** The halted VirtualMachine that people start from. */
    template: (vm: string) => name(vm, 'template'),
    /** DataVolume, claim, and later VolumeSnapshot of a disk. */
    disk: (vm: string, disk: string) => name(vm, 'disk', disk),
    iso: (vm: string, index: number) => name(vm, 'iso', String(index)),
    cloudInit: (vm: string) => name(vm, 'cloud-init'),
    answers: (vm: string) => name(vm, 'answers'),
    vpc: (vpc: string) => name('vpc', vpc),
    subnet: (subnet: string) => name('net', subnet),
    attachment: (subnet: string) => name('nad', subnet),
    gateway: (vpc: string) => name('egress', vpc),
    relay: (vpc: string) => name('relay', vpc),
    sshKey: () => name('ssh'),
  };
}

export type BuildNames = ReturnType<typeof buildNames>;
