import type { DiskOrigin, DiskPlan } from '../../common/contracts/layers.ts';
import type { CompiledVm, DiskBus, NicModel, VmDisk } from '../../common/contracts/module/compiled.ts';
import { partPath } from '../../common/contracts/module/places.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { exactSize } from '../../common/text/size-text.ts';
import { type Facts, imageIdentity, sourceIdentity, sourceKey } from './facts.ts';
import type { UnplacedProblem } from './planning-problems.ts';

/** Disks and hardware of a VM of a layer for the VMs that start from it, whether the layer exists or is planned. */
export interface ParentVm {
  readonly layerKey: string;
  readonly vm: string;
  readonly firmware: 'bios' | 'efi';
  /** Device order. */
  readonly disks: readonly ParentDisk[];
  /** Models of its network cards, in their order. */
  readonly nicModels: readonly NicModel[];
}

export interface ParentDisk {
  readonly name: string;
  readonly sizeBytes: number;
  readonly bus: DiskBus;
}

export interface PlannedDisks {
  /** In device order. */
  readonly disks: readonly DiskPlan[];
  /** The same disks as the VM's children will see them. */
  readonly offered: readonly ParentDisk[];
  readonly problems: readonly UnplacedProblem[];
}

export interface DisksInput {
  readonly vm: CompiledVm;
  readonly facts: Facts;
  /** Given when the source is a `buildRef`. */
  readonly parent: ParentVm | undefined;
}

/** The disks that a VM gets. Under `buildRef`: its parent's, in the parent's order, then the new ones. */
export function planDisks({ vm, facts, parent }: DisksInput): PlannedDisks {
  const { source } = vm;
  switch (source.kind) {
    case 'blank':
      return startingFrom(vm, { kind: 'blank' });
    case 'url': {
      const { url, checksum } = source;
      return startingFrom(vm, {
        kind: 'url',
        url,
        checksum,
        identity: sourceKey(sourceIdentity(url, checksum, facts)),
      });
    }
    case 'containerDisk': {
      const { image } = source;
      return startingFrom(vm, { kind: 'image', image, identity: sourceKey(imageIdentity(image, facts)) });
    }
    case 'sourcePvc':
      return startingFrom(vm, { kind: 'claim', name: source.name, namespace: source.namespace });
    case 'buildRef':
      assert(parent, `The parent of VM "${vm.name}" is known before its disks are planned.`);
      return inheritDisks(vm, parent);
  }
}

type SizedDisk = DiskPlan & { readonly sizeBytes: number };

/** The first disk gets the content, the others are blank. */
function startingFrom(vm: CompiledVm, origin: DiskOrigin): PlannedDisks {
  const disks: SizedDisk[] = vm.disks.map((disk, index) => ({
    ...disk,
    origin: index === 0 ? origin : { kind: 'blank' },
  }));
  return { disks, offered: disks, problems: [] };
}

function inheritDisks(vm: CompiledVm, parent: ParentVm): PlannedDisks {
  const listed = new Map(vm.disks.map((disk) => [disk.name, disk]));
  const inherited = parent.disks.map((disk) => inheritDisk(disk, listed.get(disk.name), parent));
  const names = new Set(parent.disks.map((disk) => disk.name));
  const added = vm.disks.filter((disk) => !names.has(disk.name));
  const fresh: SizedDisk[] = added.map((disk) => ({ ...disk, origin: { kind: 'blank' } }));
  const problems = [
    ...firmwareProblems(vm, parent),
    ...sizeProblems(vm, parent, listed),
    ...bootProblems(vm, inherited),
  ];
  const offered = [...inherited.map(({ plan, sizeBytes }) => ({ ...plan, sizeBytes })), ...fresh];
  return { disks: [...inherited.map(({ plan }) => plan), ...fresh], offered, problems };
}

/** A disk that is not listed has no size of its own: a snapshot may require more than the size of the disk. */
function inheritDisk(disk: ParentDisk, listed: VmDisk | undefined, parent: ParentVm) {
  const plan: DiskPlan = {
    name: disk.name,
    sizeBytes: listed?.sizeBytes ?? null,
    bus: listed?.bus ?? disk.bus,
    storageClass: listed?.storageClass ?? null,
    origin: { kind: 'layer', layerKey: parent.layerKey, vm: parent.vm, disk: disk.name },
  };
  return { plan, sizeBytes: listed?.sizeBytes ?? disk.sizeBytes };
}

function firmwareProblems(vm: CompiledVm, parent: ParentVm): UnplacedProblem[] {
  if (vm.firmware.kind === parent.firmware) return [];
  const remedy = parent.firmware === 'efi' ? 'give it efiFirmware too' : 'leave out efiFirmware';
  const message = `VM "${vm.name}" has ${vm.firmware.kind} firmware, but the disks of "${parent.vm}" boot by ${parent.firmware}: ${remedy}`;
  return [{ code: 'FirmwareMismatch', message, part: partPath('vms', vm.name) }];
}

/** The first disk boots; for other sources the parser has looked. */
function bootProblems(vm: CompiledVm, [first]: readonly { readonly plan: DiskPlan }[]): UnplacedProblem[] {
  if (first?.plan.bus !== 'usb') return [];
  const message = `disk "${first.plan.name}" of VM "${vm.name}" is the boot disk, and VMs cannot boot from the usb bus: use virtio, scsi or sata`;
  return [{ code: 'NotBootable', message, part: partPath('vms', vm.name, 'disks', first.plan.name) }];
}

function sizeProblems(vm: CompiledVm, parent: ParentVm, listed: ReadonlyMap<string, VmDisk>): UnplacedProblem[] {
  return parent.disks.flatMap(({ name, sizeBytes }) => {
    const requested = listed.get(name)?.sizeBytes ?? sizeBytes;
    if (requested >= sizeBytes) return [];
    const message = `disk "${name}" of VM "${vm.name}" is smaller (${exactSize(requested)}) than its parent's (${exactSize(sizeBytes)})`;
    return [{ code: 'DiskTooSmall' as const, message, part: partPath('vms', vm.name, 'disks', name) }];
  });
}
