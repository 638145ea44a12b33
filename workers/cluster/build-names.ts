import {
  type BuildIdentity,
  machineName,
  objectName,
  relayName,
  sshKeyName,
} from '../../common/contracts/object-names.ts';

/** Names of all objects of a layer build's generation; the same in every phase, so that each finds the objects of the others. */
export function buildNames(identity: BuildIdentity) {
  const name = (role: string, ...parts: string[]) => objectName(identity, role, ...parts);
  return {
    machine: (vm: string) => machineName(identity, vm),
    /** The halted VirtualMachine that people start from. */
    template: (vm: string) => name('template', vm),
    /** The volume of a disk that the template clones when it starts. */
    templateDisk: (vm: string, disk: string) => name('template', vm, disk),
    /** DataVolume, claim, and later VolumeSnapshot of a disk. */
    disk: (vm: string, disk: string) => name('disk', vm, disk),
    iso: (vm: string, index: number) => name('iso', vm, String(index)),
    cloudInit: (vm: string) => name('cloud-init', vm),
    answers: (vm: string) => name('answers', vm),
    vpc: (vpc: string) => name('vpc', vpc),
    subnet: (subnet: string) => name('net', subnet),
    /** The attachments of a subnet are numbered from 0: cards of one VM on the same subnet have one each. */
    attachment: (subnet: string, index = 0) => name('nad', subnet, ...(index === 0 ? [] : [String(index)])),
    gateway: (vpc: string) => name('egress', vpc),
    relay: (vpc: string) => relayName(identity, vpc),
    guestPolicy: () => name('guests'),
    sshKey: () => sshKeyName(identity),
  };
}

export type BuildNames = ReturnType<typeof buildNames>;
