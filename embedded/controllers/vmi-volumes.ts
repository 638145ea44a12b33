import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { fieldAt, type KubeObject } from '../api/objects.ts';
import { runCommand } from '../host/run-command.ts';
import type { DriveSpec } from '../qemu/machine-spec.ts';
import { parseStorageBytes } from '../quantity.ts';
import { makeDisc } from '../storage/media.ts';
import { readQcow2Header, writeEmptyQcow2 } from '../storage/qcow2.ts';
import { cloudInitDisc, sysprepDisc, volumeDisc } from './build-discs.ts';
import { type ControllerContext, hostUser, isDeleting, uidOf } from './context.ts';
import type { Vmi, VmiDisk, VmiVolume } from './kubevirt-types.ts';

/** The claims of a VMI, by volume name. */
export interface ClaimedVolumes {
  readonly claims: ReadonlyMap<string, KubeObject>;
  /** Why the VMI cannot start yet, in KubeVirt's reasons. */
  readonly waiting?: { readonly reason: string; readonly message: string; readonly isFailed?: boolean };
}

/** Finds the claims that a VMI needs, and the missing ones. */
export async function findClaims({ store, volumes }: ControllerContext, vmi: Vmi): Promise<ClaimedVolumes> {
  const claims = new Map<string, KubeObject>();
  for (const volume of vmi.spec.volumes ?? []) {
    const name = volume.persistentVolumeClaim?.claimName ?? volume.dataVolume?.name;
    if (name === undefined) continue;
    const key = { namespace: vmi.metadata.namespace, name };
    const dataVolume = store.get('DataVolume', key);
    if (dataVolume?.status?.['phase'] === 'Failed') {
      const message = `DataVolume ${name} has failed`;
      return { claims, waiting: { reason: 'FailedDataVolumeImport', message, isFailed: true } };
    }
    const claim = store.get('PersistentVolumeClaim', key);
    if (!claim || isDeleting(claim)) {
      const reason = dataVolume ? 'DataVolumeNotReady' : 'FailedPvcNotFound';
      return {
        claims,
        waiting: { reason, message: `PVC ${key.namespace}/${name} does not exist, waiting for it to appear` },
      };
    }
    if (!(await volumes.exists(uidOf(claim)))) {
      return { claims, waiting: { reason: 'DataVolumeNotReady', message: `PVC ${name} holds no data yet` } };
    }
    claims.set(volume.name, claim);
  }
  return { claims };
}

/** Where the drives of a machine come from. */
export interface DriveSources {
  readonly context: ControllerContext;
  readonly vmi: Vmi;
  readonly claims: ReadonlyMap<string, KubeObject>;
  /** Discs and scratch disks of this machine are made here. */
  readonly directory: string;
  /** Image files by container image name. */
  readonly containerDisks: Readonly<Record<string, string>>;
}

/** The drives in the order of `devices.disks`, with the files that are made for this machine only. */
export async function makeDrives(sources: DriveSources): Promise<DriveSpec[]> {
  const disks = sources.vmi.spec.domain.devices.disks ?? [];
  const volumes = new Map((sources.vmi.spec.volumes ?? []).map((volume) => [volume.name, volume]));
  await mkdir(sources.directory, { recursive: true });
  return await Promise.all(disks.map((disk) => makeDrive(sources, disk, volumes.get(disk.name))));
}

type Backing = Pick<DriveSpec, 'format' | 'below'> & { readonly path?: string };

async function makeDrive(sources: DriveSources, disk: VmiDisk, volume: VmiVolume | undefined): Promise<DriveSpec> {
  const target = disk.cdrom ?? disk.lun ?? disk.disk ?? {};
  const media = disk.cdrom ? 'cdrom' : 'disk';
  const bus = target.bus ?? (media === 'cdrom' ? 'sata' : 'virtio');
  const backing = volume ? await makeBacking(sources, volume, media === 'disk') : ({ format: 'raw' } as const);
  // An IDE or USB disk cannot be write-protected; a disc made for this machine may be written to harmlessly.
  const mayProtect = media === 'cdrom' || bus === 'virtio' || bus === 'scsi';
  const isDisc = backing.format === 'raw' && backing.path !== undefined;
  return {
    name: disk.name,
    media,
    bus,
    ...backing,
    readOnly: mayProtect && (media === 'cdrom' || isDisc || disk.disk?.readonly === true),
    ...(disk.bootOrder === undefined ? {} : { bootOrder: disk.bootOrder }),
    ...(disk.serial === undefined ? {} : { serial: disk.serial }),
    ...(disk.cache === undefined ? {} : { cache: disk.cache }),
    ...(target.pciAddress === undefined ? {} : { pciAddress: target.pciAddress }),
  };
}

async function makeBacking(sources: DriveSources, volume: VmiVolume, mayWrite: boolean): Promise<Backing> {
  const { context, claims, directory, vmi } = sources;
  const claim = claims.get(volume.name);
  if (claim) {
    const disk = uidOf(claim);
    const below = await context.volumes.lend(disk, { user: hostUser(context, vmi), mayWrite });
    return { format: 'qcow2', path: context.volumes.disk(disk), below };
  }
  const path = join(directory, `${volume.name}.img`);
  const disc =
    cloudInitDisc(context.store, vmi, volume) ??
    sysprepDisc(context.store, vmi, volume) ??
    volumeDisc(context.store, vmi, volume);
  if (disc) {
    await makeDisc({ ...disc, path });
    return { format: 'raw', path };
  }
  if (volume.emptyDisk) {
    await writeEmptyQcow2(path, { virtualSizeBytes: parseStorageBytes(volume.emptyDisk.capacity) });
    return { format: 'qcow2', path };
  }
  if (volume.containerDisk) return await ephemeralCopy(sources, volume.containerDisk.image, path);
  const kinds = Object.keys(volume).filter((key) => key !== 'name' && fieldAt(volume, key) !== undefined);
  throw new FarmError('ExceedsLimits', `Volumes of kind "${kinds.join(', ')}" are not offered by the embedded cluster`);
}

/** A container disk is an image file of this host that the machine writes over without changing it. */
async function ephemeralCopy({ containerDisks }: DriveSources, image: string, path: string): Promise<Backing> {
  const file = containerDisks[image];
  if (file === undefined) {
    throw new FarmError('ExceedsLimits', `No file of this host is configured for the container disk "${image}"`);
  }
  const format = (await readQcow2Header(file)) ? 'qcow2' : 'raw';
  await runCommand('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', file, '-F', format, path]);
  return { format: 'qcow2', path, below: [file] };
}
