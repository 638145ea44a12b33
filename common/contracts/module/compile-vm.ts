import type { CloudInit, CompiledVm, Nic, ObjectKeyRef, Resources, Step, VmDisk, VmSource } from './compiled.ts';
import { DEFAULTS, REBOOT_COMMAND } from './defaults.ts';
import type { NicBody, ResourcesBody, VmBody } from './schema.ts';

/** Makes the compiled VM; one without network cards gets one on `automaticSubnet`. */
export function compileVm(vm: VmBody, automaticSubnet: string): CompiledVm {
  const communicator = compileCommunicator(vm.communicator);
  return {
    name: vm.name,
    source: compileSource(vm.source),
    resources: compileResources(vm.resources ?? {}),
    disks: compileDisks(vm),
    isos: (vm.isos ?? []).map(({ url, checksum }) => ({ url, checksum: checksum ?? null })),
    floppy: (vm.floppy?.files ?? []).map((file) => file.name),
    firmware: vm.efiFirmware
      ? { kind: 'efi', secureBoot: vm.efiFirmware.secureBoot ?? false, tpm: vm.efiFirmware.tpm ?? false }
      : { kind: 'bios' },
    cpuModel: vm.cpuModel ?? null,
    machineType: vm.machineType ?? null,
    bootCommand: vm.bootCommand ?? [],
    cloudInit: vm.cloudInit ? compileCloudInit(vm.cloudInit) : null,
    communicator,
    nics: vm.nics && vm.nics.length > 0 ? vm.nics.map(compileNic) : [automaticNic(automaticSubnet)],
    steps: (vm.provisioners ?? []).map((step) => compileStep(step, communicator.shell)),
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

export function compileNic(nic: NicBody): Nic {
  return {
    name: nic.name,
    subnet: nic.subnet,
    ip: nic.ip ?? null,
    mac: nic.mac ?? null,
    model: nic.model ?? DEFAULTS.nicModel,
    slot: nic.slot ?? null,
  };
}

function automaticNic(subnet: string): Nic {
  return { name: DEFAULTS.nicName, subnet, ip: null, mac: null, model: DEFAULTS.nicModel, slot: null };
}

function compileSource(source: VmBody['source']): VmSource {
  if (source.url !== undefined) return { kind: 'url', url: source.url, checksum: source.checksum ?? null };
  if (source.containerDisk !== undefined) return { kind: 'containerDisk', image: source.containerDisk };
  if (source.sourcePvc) {
    return { kind: 'sourcePvc', name: source.sourcePvc.name, namespace: source.sourcePvc.namespace ?? null };
  }
  if (!source.buildRef) return { kind: 'blank' };
  const { name, vmName, namespace } = source.buildRef;
  return { kind: 'buildRef', module: name, vm: vmName ?? null, namespace: namespace ?? null };
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
type ObjectBody = NonNullable<NonNullable<StepBody['file']>['source']>;

function compileObject(source: ObjectBody): ObjectKeyRef | null {
  const kind = source.secretRef ? 'Secret' : 'ConfigMap';
  const reference = source.secretRef ?? source.configMapRef;
  return reference ? { kind, name: reference.name, key: reference.key, optional: reference.optional ?? false } : null;
}

function compileStep(step: StepBody, shell: 'bash' | 'powershell'): Step {
  const base = { name: step.name ?? null, timeoutMs: step.stepTimeout ?? null };
  switch (step.type) {
    case 'shell':
      return {
        ...base,
        type: 'shell',
        script: step.shell?.inline ?? '',
        scriptFrom: step.shell?.scriptFrom ? compileObject(step.shell.scriptFrom) : null,
        env: step.shell?.env ?? {},
        executeCommand: step.shell?.executeCommand ?? null,
      };
    case 'file':
      return {
        ...base,
        type: 'file',
        destination: step.file?.destination ?? '',
        fileRef: step.file?.fileRef ?? null,
        source: step.file?.source ? compileObject(step.file.source) : null,
      };
    case 'reboot':
      return { ...base, type: 'reboot', command: step.reboot?.command ?? REBOOT_COMMAND[shell] };
    case 'windows-update':
      return {
        ...base,
        type: 'windows-update',
        searchCriteria: step.windowsUpdate?.searchCriteria ?? DEFAULTS.windowsUpdate.searchCriteria,
        filters: step.windowsUpdate?.filters ?? [],
        updateLimit: step.windowsUpdate?.updateLimit ?? DEFAULTS.windowsUpdate.updateLimit,
      };
    case 'handbuild':
      return { ...base, type: 'handbuild', instructions: step.handbuild?.instructions ?? '' };
  }
}
