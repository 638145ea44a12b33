import type { V1Disk, V1Interface, V1Volume } from '@kubevirt-ui-ext/kubevirt-api/kubevirt';
import type { DiskPlan, NicPlan } from '../../common/contracts/layers.ts';
import type { VirtualMachine } from '../../common/kubernetes/objects.ts';
import { type BuildScope, vmLabels } from '../cluster/build-scope.ts';
import type { Wiring } from '../networks/network-driver.ts';

/** Options of a VM, beyond the plan: the build VM and the template differ only in these. */
export interface MachineParts {
  readonly nics: readonly NicPlan[];
  readonly wiring: Wiring;
  readonly cpu: number;
  /** As `clusters[].cpuAllocationRatio`; KubeVirt applies its own without one. */
  readonly cpuAllocationRatio?: number | undefined;
  readonly memoryBytes: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Claims of the disks by disk name. */
  readonly claimOf: (disk: string) => string;
  /** Whether the serial output of the guest is logged, also on a cluster that keeps no such logs by default. */
  readonly logSerialConsole?: boolean;
  /** Further drives: ISOs, cloud-init, answers. */
  readonly media: readonly { readonly disk: V1Disk; readonly volume: V1Volume }[];
}

type MachineTemplate = VirtualMachine['spec']['template'];

const GIB = 1024 ** 3;
/** KubeVirt plugs memory in blocks of this size. */
const MEMORY_BLOCK = 2 * 1024 ** 2;

/** The VirtualMachine that a module is built in. It is made switched off; its final VMI is kept (`Manual`). */
export function buildVm(scope: BuildScope, wiring: Wiring, cpuAllocationRatio?: number): VirtualMachine {
  const { names, plan, vm } = scope;
  const labels = vmLabels(scope, 'build');
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name: names.machine(vm.name), namespace: scope.namespace, labels },
    spec: {
      runStrategy: 'Manual',
      template: machineTemplate(scope, {
        nics: plan.nics,
        wiring,
        cpu: plan.cpu,
        cpuAllocationRatio,
        memoryBytes: plan.memoryBytes,
        labels,
        claimOf: (disk) => names.disk(vm.name, disk),
        media: buildMedia(scope),
        logSerialConsole: true,
      }),
    },
  };
}

/** The template of a VM with these parts. */
export function machineTemplate(scope: BuildScope, parts: MachineParts): MachineTemplate {
  const { vm, plan } = scope;
  const { firmware } = vm;
  const secureBoot = firmware.kind === 'efi' && firmware.secureBoot;
  return {
    metadata: { labels: { ...parts.labels }, annotations: { ...parts.wiring.annotations } },
    spec: {
      hostname: vm.name,
      evictionStrategy: 'None',
      terminationGracePeriodSeconds: Math.ceil(vm.shutdownTimeoutMs / 1000),
      ...parts.wiring.resolver,
      domain: {
        machine: { type: vm.machineType ?? 'q35' },
        cpu: {
          ...{ sockets: 1, cores: Math.ceil(parts.cpu), threads: 1, maxSockets: 1 },
          ...(vm.cpuModel === null ? {} : { model: vm.cpuModel }),
        },
        memory: memory(parts.memoryBytes),
        ...cpuRequest(parts),
        features: { acpi: {}, ...(secureBoot ? { smm: { enabled: true } } : {}) },
        // Neither variables nor TPM are persistent: KubeVirt keeps those in a volume of its own, which no layer captures.
        firmware: {
          bootloader: firmware.kind === 'efi' ? { efi: { secureBoot, persistent: false } } : { bios: {} },
        },
        devices: devices(scope, parts),
      },
      networks: [...parts.wiring.networks],
      volumes: [
        ...plan.disks.map(({ name }) => ({ name, dataVolume: { name: parts.claimOf(name) } })),
        ...parts.media.map(({ volume }) => volume),
      ],
    },
  };
}

function devices({ vm: { firmware }, plan }: BuildScope, { nics, wiring, media, logSerialConsole }: MachineParts) {
  return {
    disks: [...plan.disks.map(diskDevice), ...media.map(({ disk }) => disk)],
    interfaces: nics.map((nic, index) => interfaceDevice(nic, wiring.bindings[index])),
    // Absolute positions, for people who look at the screen.
    inputs: [{ name: 'tablet', type: 'tablet', bus: 'usb' }],
    autoattachPodInterface: false,
    ...(logSerialConsole ? { logSerialConsole: true } : {}),
    ...(firmware.kind === 'efi' && firmware.tpm ? { tpm: {} } : {}),
  };
}

/** A millicore at least: Kubernetes treats a request of zero as absent. */
function cpuRequest({ cpu, cpuAllocationRatio }: MachineParts) {
  if (cpuAllocationRatio === undefined) return {};
  const millicores = Math.max(1, Math.round((Math.ceil(cpu) * 1000) / cpuAllocationRatio));
  return { resources: { requests: { cpu: `${millicores}m` } } };
}

/** No room for hot-plugging, which guests would see; KubeVirt takes the limit from 1 GiB on only. */
function memory(bytes: number) {
  const limited = bytes >= GIB && bytes % MEMORY_BLOCK === 0;
  return { guest: String(bytes), ...(limited ? { maxGuest: String(bytes) } : {}) };
}

function diskDevice({ name, bus }: DiskPlan, index: number): V1Disk {
  return { name, disk: { bus }, ...(index === 0 ? { bootOrder: 1 } : {}) };
}

function interfaceDevice({ name, model, mac, slot }: NicPlan, binding: Wiring['bindings'][number] = {}): V1Interface {
  const pciAddress = slot === null ? {} : { pciAddress: `0000:00:1${slot}.0` };
  return { name, model, macAddress: mac, ...binding, ...pciAddress };
}

/** The drives that exist while building only: ISOs, cloud-init, answer files. */
function buildMedia({ vm, plan, names }: BuildScope): MachineParts['media'] {
  const isos = plan.isos.map((_iso, index) => ({
    disk: { name: `iso-${index}`, cdrom: { bus: 'sata' as const }, bootOrder: index + 2 },
    volume: { name: `iso-${index}`, dataVolume: { name: names.iso(vm.name, index) } },
  }));
  return [...isos, ...cloudInitDrive({ vm, plan, names }), ...answersDrive({ vm, names })];
}

function cloudInitDrive({ vm, plan, names }: Pick<BuildScope, 'vm' | 'plan' | 'names'>) {
  if (vm.cloudInit === null) return [];
  // Kernels of cloud images often know no SATA: the bus that the boot disk needs anyway works.
  const bus = plan.disks[0]?.bus ?? 'virtio';
  const secret = { name: names.cloudInit(vm.name) };
  const networkData = vm.cloudInit?.networkData ? { networkDataSecretRef: secret } : {};
  return [
    {
      disk: { name: 'cloud-init', disk: { bus } },
      volume: { name: 'cloud-init', cloudInitNoCloud: { secretRef: secret, ...networkData } },
    },
  ];
}

function answersDrive({ vm, names }: Pick<BuildScope, 'vm' | 'names'>) {
  if (vm.floppy.length === 0) return [];
  const secret = { secretName: names.answers(vm.name), volumeLabel: answersLabel(vm.floppy) };
  return [{ disk: { name: 'answers', cdrom: { bus: 'sata' as const } }, volume: { name: 'answers', secret } }];
}

/** `cidata` when cloud-init or subiquity is to find it, else what Anaconda looks for; Windows reads any label. */
export function answersLabel(files: readonly string[]): 'cidata' | 'OEMDRV' {
  return files.some((name) => name === 'user-data' || name === 'meta-data') ? 'cidata' : 'OEMDRV';
}
