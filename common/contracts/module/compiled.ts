import type { Checksum, LocalFolder, ModuleFile, ObjectKeyRef } from './contents.ts';
import type { Location } from './location.ts';
import type { ModuleNetwork } from './module-network.ts';
import type { Places, Position } from './position.ts';
import type { Step } from './step-types.ts';

/** Marks a clone of an image: its machines are started and left to people, and no disk is captured. */
export interface RunTerms {
  /** Every clone is another one. */
  readonly id: string;
  /** `NAME:VERSION` */
  readonly image: string;
  /** How long it runs from when its first machine is up. */
  readonly ttlMs: number;
  /** A line of `authorized_keys` that is let in beside the clone's own; null: none. */
  readonly authorizedKey: string | null;
}

/**
 * The compiled module: one document of the configuration model after variables and defaults. Durations are
 * milliseconds (`…Ms`), sizes are bytes (`…Bytes`). It is plain JSON, so it travels between processes as it is.
 */
export interface CompiledModule {
  /** DNS label; other modules name it in `buildRef`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Place of the document; for messages only. */
  readonly origin: Position;
  /** Places of its parts; for messages only, and left out of what is built. */
  readonly places?: Places;
  /** At least one, in the file's order. */
  readonly vms: readonly CompiledVm[];
  readonly files: readonly ModuleFile[];
  /** Names of `files` that the relay serves over HTTP while building. */
  readonly httpDirectory: readonly string[];
  /** Further files that the relay serves, by path. */
  readonly httpFolder: LocalFolder | null;
  /** Always complete: the automatic VPC and subnet are here too. Values without the build overrides. */
  readonly network: ModuleNetwork;
  readonly buildOverrides: BuildOverrides;
  /** Bound on the time in which a phase of the module runs, all generations together. */
  readonly timeoutMs: number;
  /** How often the whole module is built again after a failure. */
  readonly retries: number;
  readonly isoCacheTtlMs: number;
  /** A layer older than this is not reused; null: however old it is. */
  readonly maxAgeMs: number | null;
  /** Labels that its cluster must have; absent: none. */
  readonly clusterLabels?: Readonly<Record<string, string>>;
  readonly namespace: string | null;
  readonly namespacePrefix: string;
  /** Every reference to a secret. In the texts themselves they have the form of `secretReference`. */
  readonly secrets: readonly SecretUse[];
  /** Every field that is in the model but cannot be executed by this version, for the refusal at submission. */
  readonly notYetSupported: readonly UnsupportedField[];
  /** Absent in a built module. */
  readonly run?: RunTerms;
  /** Its sources are imported unchanged: no machine is started. Absent in a built module. */
  readonly imported?: true;
}

export interface UnsupportedField extends Position {
  /** Path of the field, e.g. `vms[0].efiFirmware.tpm`. */
  readonly path: string;
  readonly message: string;
}

export interface SecretUse extends Position {
  /** Path of the text, e.g. `vms[0].provisioners[1].shell.env.TOKEN`. */
  readonly path: string;
  readonly name: string;
}

export interface CompiledVm {
  /** DNS label; also the host name, and how the module's other VMs resolve it. */
  readonly name: string;
  readonly source: VmSource;
  readonly resources: Resources;
  /**
   * The disks that the file lists (one default disk when it lists none and the source is not `buildRef`). Under
   * `buildRef` the graph adds the parent's disks that are not listed.
   */
  readonly disks: readonly VmDisk[];
  readonly isos: readonly Iso[];
  /** Names of `files`, served on a labelled CD. Empty: no such CD. */
  readonly floppy: readonly string[];
  readonly firmware: Firmware;
  readonly cpuModel: string | null;
  readonly machineType: string | null;
  /** Strings of Packer's grammar, concatenated before they are typed; templates not filled. */
  readonly bootCommand: readonly string[];
  readonly cloudInit: CloudInit | null;
  readonly communicator: Communicator;
  /** Never empty. Values without the build overrides. */
  readonly nics: readonly Nic[];
  readonly steps: readonly Step[];
  /** Names of VMs of the same module that boot first. */
  readonly dependsOn: readonly string[];
  readonly shutdownCommand: string | null;
  readonly shutdownTimeoutMs: number;
  readonly invisible: boolean;
}

/** How old a layer made from this may be to be reused; absent: as old as it may be. */
interface Aging {
  readonly maxAgeMs?: number;
}

export type VmSource =
  | ({ readonly kind: 'url'; readonly checksum: Checksum | null } & Location & Aging)
  | { readonly kind: 'blank' }
  | {
      readonly kind: 'buildRef';
      readonly module: string;
      readonly vm: string | null;
      readonly namespace: string | null;
      /** `<module>:<version>` or `<module>@<tag>` of an image that is there; null: the module as it is now. */
      readonly image: string | null;
    }
  | ({ readonly kind: 'containerDisk'; readonly image: string } & Aging)
  | ({ readonly kind: 'sourcePvc'; readonly name: string; readonly namespace: string | null } & Aging);

export interface Resources {
  /** Cores, possibly fractional; the guest gets it rounded up. */
  readonly cpu: number;
  readonly memoryBytes: number;
}

export type DiskBus = 'virtio' | 'scsi' | 'sata' | 'usb';

export interface VmDisk {
  readonly name: string;
  readonly sizeBytes: number;
  readonly bus: DiskBus;
  readonly storageClass: string | null;
}

export interface Iso extends Location, Aging {
  readonly checksum: Checksum | null;
}

export type Firmware =
  | { readonly kind: 'bios' }
  | { readonly kind: 'efi'; readonly secureBoot: boolean; readonly tpm: boolean };

export interface CloudInit {
  readonly userData: string | null;
  readonly userDataFrom: ObjectKeyRef | null;
  readonly networkData: string | null;
}

export interface Communicator {
  readonly type: 'ssh';
  readonly shell: 'bash' | 'powershell';
  readonly sshUsername: string;
  readonly sshPort: number;
  /** A secret. Sealed under the farm's key wherever the module is stored. */
  readonly sshPassword: string | null;
  readonly sshTimeoutMs: number;
  /** A private key to log in with, beside the build's own. */
  readonly sshPrivateKeySecret: ObjectKeyRef | null;
}

export const NIC_MODELS = ['e1000', 'virtio', 'e1000e', 'rtl8139', 'pcnet', 'ne2k_pci'] as const;

export type NicModel = (typeof NIC_MODELS)[number];

export interface Nic {
  /** A label; the guest names its interfaces itself. */
  readonly name: string;
  readonly subnet: string;
  readonly ip: string | null;
  /** Lower case, colon separated. */
  readonly mac: string | null;
  /** Null: the model of the parent's card in the same place; only under `buildRef`. */
  readonly model: NicModel | null;
  /** Pins the PCI slot, 1-9. */
  readonly slot: number | null;
}

/** Settings that apply only while building. NICs have already taken over `mac`, `slot` and `model` of the base NIC of that name. */
export interface BuildOverrides {
  readonly vpcs: readonly { readonly name: string; readonly internet: boolean }[];
  readonly subnets: readonly { readonly name: string; readonly unmanaged: boolean }[];
  readonly vms: readonly {
    readonly name: string;
    readonly resources: Resources | null;
    readonly nics: readonly Nic[] | null;
  }[];
}
