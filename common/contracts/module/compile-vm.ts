import { blobOf } from '../blobs.ts';
import { formatImageReference } from '../images.ts';
import type { CloudInit, CompiledVm, Iso, Nic, NicModel, Resources, VmDisk, VmSource } from './compiled.ts';
import type { Checksum, LocalFile } from './contents.ts';
import { DEFAULTS, MANIFEST_NIC_MODEL, NIC_MODELS_BY_SOURCE } from './defaults.ts';
import type { LocalFinder } from './local-content.ts';
import type { Location } from './location.ts';
import { compileObject } from './references.ts';
import type { NicBody, ResourcesBody, VmBody } from './schema.ts';
import type { StepSurroundings, StepType } from './step-type.ts';
import type { Step } from './step-types.ts';
import { STEP_TYPES } from './step-types.ts';

/** Values that a VM gets from its module. */
export interface VmSurroundings {
  /** Where its network card is attached if it lists none. */
  readonly automaticSubnet: string;
  /** Whether it is in a manifest of RudderVirt. */
  readonly isManifest: boolean;
  /** Local files beside its module file. */
  readonly local: LocalFinder;
}

export function compileVm(vm: VmBody, { automaticSubnet, isManifest, local }: VmSurroundings): CompiledVm {
  const communicator = compileCommunicator(vm.communicator);
  const source = compileSource(vm.source, local);
  const model = defaultNicModel(source, isManifest);
  const automaticNic = { name: DEFAULTS.nicName, subnet: automaticSubnet };
  return {
    name: vm.name,
    source,
    resources: compileResources(vm.resources ?? {}),
    disks: compileDisks(vm),
    isos: (vm.isos ?? []).map((iso) => compileIso(iso, local)),
    floppy: (vm.floppy?.files ?? []).map((file) => file.name),
    firmware: vm.efiFirmware
      ? { kind: 'efi', secureBoot: vm.efiFirmware.secureBoot ?? false, tpm: vm.efiFirmware.tpm ?? false }
      : { kind: 'bios' },
    cpuModel: vm.cpuModel ?? null,
    machineType: vm.machineType ?? null,
    bootCommand: vm.bootCommand ?? [],
    cloudInit: vm.cloudInit ? compileCloudInit(vm.cloudInit) : null,
    communicator,
    nics: (vm.nics && vm.nics.length > 0 ? vm.nics : [automaticNic]).map((nic) => compileNic(nic, model)),
    steps: (vm.provisioners ?? []).map((step) => compileStep(step, { shell: communicator.shell, local })),
    dependsOn: vm.dependsOn ?? [],
    shutdownCommand: vm.shutdownCommand ?? null,
    shutdownTimeoutMs: vm.shutdownTimeout ?? DEFAULTS.shutdownTimeoutMs,
    invisible: vm.invisible ?? false,
  };
}

export function compileResources(resources: ResourcesBody, base?: Resources): Resources {
  return {
    cpu: resources.cpu ?? base?.cpu ?? DEFAULTS.cpu,
    memoryBytes: resources.memory ?? base?.memoryBytes ?? DEFAULTS.memoryBytes,
  };
}

/** The model of the cards that name none. */
export function defaultNicModel(source: VmSource, isManifest: boolean): NicModel | null {
  const bySource = NIC_MODELS_BY_SOURCE[source.kind];
  return isManifest && bySource !== null ? MANIFEST_NIC_MODEL : bySource;
}

export function compileNic(nic: NicBody, model: NicModel | null): Nic {
  return {
    name: nic.name,
    subnet: nic.subnet,
    ip: nic.ip ?? null,
    mac: nic.mac ?? null,
    model: nic.model ?? model,
    slot: nic.slot ?? null,
  };
}

function compileSource(source: VmBody['source'], local: LocalFinder): VmSource {
  const age = aging(source.maxAge);
  if (source.path !== undefined) return { kind: 'url', ...pinned(local.file(source.path)) };
  if (source.url !== undefined) return { kind: 'url', ...source.url, checksum: source.checksum ?? null, ...age };
  if (source.containerDisk !== undefined) return { kind: 'containerDisk', image: source.containerDisk, ...age };
  if (source.sourcePvc) {
    return { kind: 'sourcePvc', name: source.sourcePvc.name, namespace: source.sourcePvc.namespace ?? null, ...age };
  }
  if (!source.buildRef) return { kind: 'blank' };
  const { name, vmName, namespace, version = null, tag = null } = source.buildRef;
  const image = version === null && tag === null ? null : formatImageReference({ module: name, version, tag });
  return { kind: 'buildRef', module: name, vm: vmName ?? null, namespace: namespace ?? null, image };
}

function aging(maxAgeMs: number | undefined): { maxAgeMs?: number } {
  return maxAgeMs === undefined ? {} : { maxAgeMs };
}

function compileIso({ url, checksum, path, maxAge }: NonNullable<VmBody['isos']>[number], local: LocalFinder): Iso {
  if (path !== undefined) return pinned(local.file(path));
  return { url: '', credentials: null, ...url, checksum: checksum ?? null, ...aging(maxAge) };
}

/** For a cluster a local file is a URL like others, whose checksum is known. */
function pinned({ url }: LocalFile): Location & { checksum: Checksum } {
  return { url, credentials: null, checksum: { algorithm: 'sha256', hex: blobOf(url) ?? '' } };
}

function compileDisks(vm: VmBody): VmDisk[] {
  if (vm.disks && vm.disks.length > 0) {
    return vm.disks.map(({ name, size, bus, storageClass }) => ({
      name,
      sizeBytes: size,
      bus: bus ?? 'virtio',
      storageClass: storageClass ?? null,
    }));
  }
  return vm.source.buildRef ? [] : [{ ...DEFAULTS.disk, bus: 'virtio', storageClass: null }];
}

function compileCloudInit(cloudInit: NonNullable<VmBody['cloudInit']>): CloudInit {
  return {
    userData: cloudInit.userData ?? null,
    userDataFrom: cloudInit.userDataFrom ? compileObject(cloudInit.userDataFrom) : null,
    networkData: cloudInit.networkData ?? null,
  };
}

function compileCommunicator(communicator: VmBody['communicator']): CompiledVm['communicator'] {
  return {
    type: 'ssh',
    shell: communicator?.shell ?? 'bash',
    sshUsername: communicator?.sshUsername ?? DEFAULTS.sshUsername,
    sshPort: communicator?.sshPort ?? DEFAULTS.sshPort,
    sshPassword: communicator?.sshPassword ?? null,
    sshTimeoutMs: communicator?.sshTimeout ?? DEFAULTS.sshTimeoutMs,
    sshPrivateKeySecret: communicator?.sshPrivateKeySecret
      ? { kind: 'Secret', ...communicator.sshPrivateKeySecret, optional: false }
      : null,
  };
}

type StepBody = NonNullable<VmBody['provisioners']>[number];
function compileStep(step: StepBody, surroundings: StepSurroundings): Step {
  const { type, name = null, stepTimeout: timeoutMs = null } = step;
  const { key, compile } = STEP_TYPES[type] as StepType;
  return { type, name, timeoutMs, ...compile(step[key as keyof StepBody], surroundings) } as Step;
}
