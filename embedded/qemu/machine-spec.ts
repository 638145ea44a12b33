/** How a disk is attached; KubeVirt's `disk.bus`. */
export type DiskBus = 'virtio' | 'scsi' | 'sata' | 'usb';

/** A drive of a machine. */
export interface DriveSpec {
  /** Unique within the machine; becomes the QEMU node name `drive-<name>`. */
  readonly name: string;
  readonly media: 'disk' | 'cdrom';
  readonly bus: DiskBus;
  /** The image file; absent for a CD drive without a disc. */
  readonly path?: string;
  readonly format: 'qcow2' | 'raw';
  /** Files that the image is based on. */
  readonly below?: readonly string[];
  readonly readOnly: boolean;
  /** 1 is tried first. */
  readonly bootOrder?: number;
  readonly serial?: string;
  readonly cache?: 'none' | 'writethrough' | 'writeback';
  readonly pciAddress?: string;
}

/** Network cards that QEMU emulates for KubeVirt's `interfaces[].model`. */
export const NIC_DEVICES = {
  virtio: 'virtio-net-pci',
  e1000: 'e1000',
  e1000e: 'e1000e',
  igb: 'igb',
  rtl8139: 'rtl8139',
  pcnet: 'pcnet',
  ne2k_pci: 'ne2k_pci',
} as const;

export type NicModel = keyof typeof NIC_DEVICES;

/** A network card of a machine. */
export interface NicSpec {
  readonly name: string;
  readonly model: NicModel;
  readonly mac: string;
  /** The tap interface in QEMU's namespace; absent: a card without a network. */
  readonly tap?: string;
  readonly bootOrder?: number;
  readonly pciAddress?: string;
}

/** Firmware of the machine. */
export type FirmwareSpec =
  | { readonly kind: 'bios' }
  | {
      readonly kind: 'efi';
      /** Read-only code image. */
      readonly code: string;
      /** The machine's own copy of the variable store. */
      readonly variables: string;
      readonly secureBoot: boolean;
    };

/** Everything that decides a QEMU command line. */
export interface MachineSpec {
  readonly name: string;
  readonly uuid: string;
  readonly smbiosSerial?: string;
  /** Sockets and logs of this machine. */
  readonly runDir: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly machineType: string;
  readonly memoryMiB: number;
  readonly cpu: {
    readonly sockets: number;
    readonly cores: number;
    readonly threads: number;
    /** KubeVirt's model name; `host-model` and `host-passthrough` are the accelerator's best. */
    readonly model?: string;
    readonly features: readonly { readonly name: string; readonly enabled: boolean }[];
  };
  readonly firmware: FirmwareSpec;
  readonly drives: readonly DriveSpec[];
  readonly nics: readonly NicSpec[];
  readonly hasGraphics: boolean;
  readonly hasSerial: boolean;
  readonly hasTablet: boolean;
  readonly hasRng: boolean;
  readonly hasPanicDevice: boolean;
  /** Start paused, and show the boot menu for 10 s (what KubeVirt does for `startStrategy: Paused`). */
  readonly startPaused: boolean;
  /** A reboot of the guest ends the machine (`rebootPolicy: Terminate`). */
  readonly endsOnReboot: boolean;
  readonly clockBase: 'utc' | 'localtime';
  /** Control socket of a software TPM. */
  readonly tpmSocket?: string;
}
