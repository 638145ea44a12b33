import { z } from 'zod';
import { coresSchema, labelsSchema } from '../contracts/cluster-control.ts';
import { NETWORK_KINDS } from '../contracts/network-kinds.ts';
import { bytesOption } from './units.ts';

/** The default, which no registry serves. */
export const DEFAULT_RELAY_IMAGE = 'slipway:latest';

const limits = z.strictObject({
  imports: z.int().min(1).default(4).describe('Imports that may run at once; they hold no VM slot.'),
  vms: z.int().min(1).default(8).describe('Virtual machines that may exist at once.'),
  cpu: coresSchema.default(16).describe('Cores that these machines may have together.'),
  memory: bytesOption.prefault('32Gi').describe('Memory that these machines may have together.'),
});

/** One cluster that the farm may build on. */
export const clusterOptions = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/)
    .describe('Name of the cluster in queues, slots and metrics; a DNS label.'),
  kubeconfig: z.string().optional().describe('Path of its kubeconfig; without it the service account of the pod.'),
  context: z.string().optional().describe('Context of the kubeconfig; its current one by default.'),
  namespace: z.string().default('slipway').describe('The farm namespace: everything namespaced is made in it.'),
  storageClass: z.string().optional().describe('Storage class of volumes; the default class of the cluster otherwise.'),
  snapshotClass: z.string().optional().describe('Class of volume snapshots; the default of the driver otherwise.'),
  network: z
    .enum(NETWORK_KINDS)
    .optional()
    .describe(
      'How machines are connected: `kube-ovn`, by networks of their own; `pod`, on the pod network of the cluster. By default `kube-ovn` where KubeOVN is installed, else `pod`.',
    ),
  externalSubnet: z
    .string()
    .optional()
    .describe('KubeOVN subnet that egress gateways use; needed for `internet` with KubeOVN.'),
  deniedNetworks: z
    .array(z.cidrv4())
    .default([])
    .describe(
      'IPv4 networks that modules with `internet` must not reach: those of the nodes, pods and Services. With KubeOVN they become policy routes of each VPC; on a pod network private ones are closed anyway.',
    ),
  cpuAllocationRatio: z
    .number()
    .min(1)
    .optional()
    .describe(
      'Virtual processors per core that machines ask of the nodes; by default the cluster’s own ratio decides (10 with KubeVirt, unless it is configured).',
    ),
  bareBinding: z
    .string()
    .min(1)
    .optional()
    .describe(
      'With KubeOVN: the network binding of KubeVirt for cards on `unmanaged` subnets, one with `domainAttachmentType: managedTap`. Without it KubeVirt answers DHCP there, before the guest of the module that should.',
    ),
  relayImage: z.string().default(DEFAULT_RELAY_IMAGE).describe('Container image of the relay pod.'),
  blobsUrl: z.string().optional().describe('As `blobs.url`, where this cluster reaches the schedulers by another one.'),
  limits: limits.prefault({}).describe('What the farm may use of the cluster.'),
  labels: labelsSchema
    .default({})
    .describe('Labels that modules may ask for by `placement.clusterLabels`; `slipway cluster label` changes them.'),
  leastFreeStorage: bytesOption
    .prefault('2Gi')
    .describe(
      'Free storage for volumes that the cluster must have to take builds (else `StorageFull`), as the driver of the storage class reports it in CSIStorageCapacity; without such a report the limit does not apply.',
    ),
});
