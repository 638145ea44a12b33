import { z } from 'zod';
import { type CompiledModule, type DiskBus, NIC_MODELS, type NicModel } from './module/compiled.ts';
import type { Checksum } from './module/contents.ts';
import type { NetworkKind } from './network-kinds.ts';

/**
 * Content key of the shared volume of a source: `sha256:…`, a hash of URL and validator, or the digest of a container
 * image. Null: the content cannot be identified, so every build imports it separately.
 */
export type SourceKey = string | null;

/** Where the content of a disk comes from, with unpinned sources resolved. */
export type DiskOrigin =
  | {
      readonly kind: 'url';
      readonly url: string;
      readonly checksum: Checksum | null;
      readonly identity: SourceKey;
    }
  | { readonly kind: 'image'; readonly image: string; readonly identity: SourceKey }
  /** A claim that is there already; without a namespace it is in the farm's. */
  | { readonly kind: 'claim'; readonly name: string; readonly namespace: string | null }
  | { readonly kind: 'blank' }
  | { readonly kind: 'layer'; readonly layerKey: string; readonly vm: string; readonly disk: string };

/** One disk of a VM to build, in device order; the first one boots. */
export interface DiskPlan {
  readonly name: string;
  /** Null: as large as its origin. */
  readonly sizeBytes: number | null;
  readonly bus: DiskBus;
  readonly storageClass: string | null;
  readonly origin: DiskOrigin;
}

/** An ISO with its content key. */
export interface IsoPlan {
  readonly url: string;
  readonly checksum: Checksum | null;
  readonly identity: SourceKey;
}

/** Address and hardware of one NIC, fixed by the planner. */
export interface NicPlan {
  readonly name: string;
  readonly subnet: string;
  readonly model: NicModel;
  readonly slot: number | null;
  /** Lower case; fixed from layerKey, VM and NIC, so that a clone keeps it. */
  readonly mac: string;
  /** Null on an unmanaged subnet without a given address. */
  readonly ip: string | null;
}

/** One subnet as it is while building. */
export interface SubnetPlan {
  readonly name: string;
  readonly vpc: string;
  readonly cidr: string;
  /** KubeOVN's router port in the subnet. */
  readonly gateway: string;
  readonly dhcp: boolean;
  readonly dns: readonly string[];
  readonly unmanaged: boolean;
  /** Address of the relay; null when another subnet of the VPC carries it, or the subnet is unmanaged. */
  readonly relay: string | null;
  /** Address of the VPC's egress gateway; null where another subnet carries it, or the VPC has no internet. */
  readonly egress: string | null;
}

/** Everything of a VM that the planner decided beyond the compiled module. */
export interface VmPlan {
  readonly name: string;
  readonly disks: readonly DiskPlan[];
  readonly isos: readonly IsoPlan[];
  /** While building. */
  readonly nics: readonly NicPlan[];
  /** Cards of the published template; the same as `nics` without build overrides. */
  readonly templateNics: readonly NicPlan[];
  readonly cpu: number;
  readonly memoryBytes: number;
}

/**
 * Specification of a layer build: the compiled module and the planner's decisions. Stored once in Redis and read by every
 * phase. `sshPassword` in it is sealed under the farm's key; of secrets only the names are in it.
 */
export interface LayerSpec {
  readonly schema: 1;
  readonly layerKey: string;
  readonly module: CompiledModule;
  /** In the order of `module.vms`. */
  readonly vms: readonly VmPlan[];
  readonly network: {
    readonly vpcs: readonly { readonly name: string; readonly internet: boolean }[];
    readonly subnets: readonly SubnetPlan[];
  };
  /** SHA-256 of each URL file of the module, known after it was fetched for planning; inline ones need none. */
  readonly fileHashes: Readonly<Record<string, string>>;
  /** Content key of each key of a ConfigMap or Secret, by `objectKeyName`: the content must not have changed when it is used. */
  readonly objects: Readonly<Record<string, string>>;
  /** How the cluster connects machines; absent in specifications of former versions, which knew `kube-ovn` only. */
  readonly networkKind?: NetworkKind;
  /** Address of the schedulers, for the cluster and its workers: they read local files from there. */
  readonly blobsUrl?: string;
}

export const layerDiskSchema = z.object({
  name: z.string(),
  /** Name of the VolumeSnapshot in the cluster's farm namespace. */
  snapshot: z.string(),
  /** Requested size, which the guest sees; the volume in the cluster is larger. */
  sizeBytes: z.int(),
  /** Storage of the snapshot without and with the layers below it, at its creation; absent: not reported by the cluster. */
  ownBytes: z.int().optional(),
  usedBytes: z.int().optional(),
  bus: z.enum(['virtio', 'scsi', 'sata', 'usb']),
});

export const layerVmSchema = z.object({
  vm: z.string(),
  /** Name of the halted template VirtualMachine. */
  template: z.string(),
  /** Device order; the first one boots. */
  disks: z.array(layerDiskSchema),
  firmware: z.enum(['bios', 'efi']),
  /** Models of its network cards, in their order; absent in layers of former versions. */
  nicModels: z.array(z.enum(NIC_MODELS)).optional(),
  /** Of its processors, as Go names it; absent in layers of former versions. */
  architecture: z.string().optional(),
});

/**
 * A finished layer: what dependents start from and what `slipway images` lists. Kept in Redis and mirrored as annotation
 * `slipway.dev/layer` on its snapshots, so that the catalog can be read again from the cluster alone.
 */
export const layerRecordSchema = z.object({
  layerKey: z.string(),
  /** The same for all layers made from one recipe; the first of them has it as its layerKey. */
  recipeKey: z.string(),
  /** layerKeys of the layers that it was started from. */
  parents: z.array(z.string()),
  /** The first of its names; it may get others (`ImageName`). */
  module: z.string(),
  version: z.int(),
  cluster: z.string(),
  namespace: z.string(),
  layerBuild: z.string(),
  generation: z.int(),
  /** ISO 8601. */
  createdAt: z.string(),
  labels: z.record(z.string(), z.string()),
  vms: z.array(layerVmSchema),
});

/** Ends the recipeKey of a layer whose build a person changed: the recipe alone does not make it, so it is never reused for that recipe. */
const BY_HAND = '+by-hand';

/** Whether a person had a failed step of the build run again or skipped. */
export function isChangedByHand({ recipeKey }: Pick<LayerRecord, 'recipeKey'>): boolean {
  return recipeKey.endsWith(BY_HAND);
}

/** A record as it was written; those of former versions have no recipe and no parents. */
export const writtenLayerSchema = z.preprocess(
  (written) => (isObject(written) ? { recipeKey: written['layerKey'], parents: [], ...written } : written),
  layerRecordSchema,
);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

export type LayerDisk = z.infer<typeof layerDiskSchema>;
export type LayerVm = z.infer<typeof layerVmSchema>;
export type LayerRecord = z.infer<typeof layerRecordSchema>;
