import type { KubeObject, ObjectMeta } from '../api/objects.ts';
import type { Condition } from './conditions.ts';

/**
 * The fields of KubeVirt's objects that the controllers read or write (api/core/v1/schema.go and types.go of KubeVirt).
 * The schemas of the CRDs have checked them before.
 */
export type VmiPhase = '' | 'Pending' | 'Scheduling' | 'Scheduled' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

export interface DiskTarget {
  bus?: 'virtio' | 'sata' | 'scsi' | 'usb';
  readonly?: boolean;
  pciAddress?: string;
}

export interface VmiDisk {
  name: string;
  disk?: DiskTarget;
  cdrom?: DiskTarget;
  lun?: DiskTarget;
  bootOrder?: number;
  serial?: string;
  cache?: 'none' | 'writethrough' | 'writeback';
}

export interface VmiInterface {
  name: string;
  model?: string;
  macAddress?: string;
  pciAddress?: string;
  bootOrder?: number;
  state?: string;
  masquerade?: object;
  binding?: { name: string };
}

export interface VmiNetwork {
  name: string;
  pod?: { vmNetworkCIDR?: string };
  multus?: { networkName: string };
}

export interface CloudInit {
  userData?: string;
  userDataBase64?: string;
  networkData?: string;
  networkDataBase64?: string;
  secretRef?: { name: string };
  networkDataSecretRef?: { name: string };
}

export interface VmiVolume {
  name: string;
  persistentVolumeClaim?: { claimName: string };
  dataVolume?: { name: string };
  cloudInitNoCloud?: CloudInit;
  cloudInitConfigDrive?: CloudInit;
  secret?: { secretName: string; volumeLabel?: string };
  configMap?: { name: string; volumeLabel?: string };
  sysprep?: { secret?: { name: string }; configMap?: { name: string } };
  emptyDisk?: { capacity: string };
  containerDisk?: { image: string };
}

export interface VmiSpec {
  domain: {
    cpu?: {
      sockets?: number;
      cores?: number;
      threads?: number;
      model?: string;
      features?: { name: string; policy?: string }[];
    };
    memory?: { guest?: string };
    resources?: { requests?: { memory?: string }; limits?: { memory?: string } };
    machine?: { type?: string };
    firmware?: {
      uuid?: string;
      serial?: string;
      bootloader?: { efi?: { secureBoot?: boolean; persistent?: boolean }; bios?: object };
    };
    clock?: { timezone?: string };
    devices: {
      disks?: VmiDisk[];
      interfaces?: VmiInterface[];
      inputs?: { name: string; bus?: string }[];
      autoattachGraphicsDevice?: boolean;
      autoattachSerialConsole?: boolean;
      logSerialConsole?: boolean;
      rng?: object;
      tpm?: { enabled?: boolean; persistent?: boolean };
      panicDevices?: object[];
    };
    rebootPolicy?: 'Reboot' | 'Terminate';
  };
  hostname?: string;
  dnsPolicy?: string;
  dnsConfig?: { nameservers?: string[]; searches?: string[] };
  networks?: VmiNetwork[];
  volumes?: VmiVolume[];
  startStrategy?: 'Paused';
  terminationGracePeriodSeconds?: number;
}

export interface VmiStatus {
  [field: string]: unknown;
  phase?: VmiPhase;
  reason?: string;
  conditions?: Condition[];
  phaseTransitionTimestamps?: { phase: VmiPhase; phaseTransitionTimestamp: string }[];
  nodeName?: string;
}

/** KubeVirt's VirtualMachineInstance. */
export interface Vmi extends KubeObject {
  spec: VmiSpec & { [field: string]: unknown };
  status?: VmiStatus;
}

export type RunStrategy = 'Always' | 'Halted' | 'Manual' | 'RerunOnFailure' | 'Once';

export interface StateChangeRequest {
  action: 'Start' | 'Stop';
  /** For Stop: the VMI that is meant. */
  uid?: string;
  data?: { paused?: string };
}

export interface VmStatus {
  [field: string]: unknown;
  created?: boolean;
  ready?: boolean;
  printableStatus?: string;
  conditions?: Condition[];
  stateChangeRequests?: StateChangeRequest[];
  startFailure?: { consecutiveFailCount: number; lastFailedVMIUID: string; retryAfterTimestamp: string };
}

/** KubeVirt's VirtualMachine. */
export interface Vm extends KubeObject {
  spec: {
    [field: string]: unknown;
    running?: boolean;
    runStrategy?: RunStrategy;
    template: { metadata?: Partial<ObjectMeta>; spec: VmiSpec };
    dataVolumeTemplates?: { metadata: ObjectMeta; spec: { [field: string]: unknown } }[];
  };
  status?: VmStatus;
}
