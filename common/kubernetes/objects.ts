import type { V1beta1DataVolume } from '@kubevirt-ui-ext/kubevirt-api/containerized-data-importer';
import type { V1VirtualMachine, V1VirtualMachineInstance } from '@kubevirt-ui-ext/kubevirt-api/kubevirt';

/** Metadata of any object; times are ISO 8601 strings. */
export interface ObjectMeta {
  name?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean }[];
}

/** Fields of every object. */
export interface KubernetesObject {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
}

export type VirtualMachine = V1VirtualMachine;
export type VirtualMachineInstance = V1VirtualMachineInstance;
export type DataVolume = V1beta1DataVolume;

/** A status condition as most kinds have it. */
export interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
}

/** Core `v1` Pod: the fields that the farm reads or writes. */
export interface Pod extends KubernetesObject {
  spec?: Record<string, unknown>;
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    podIP?: string;
    conditions?: Condition[];
    containerStatuses?: {
      name: string;
      ready: boolean;
      restartCount: number;
      state?: {
        waiting?: { reason?: string; message?: string };
        running?: { startedAt?: string };
        terminated?: { exitCode: number; reason?: string; message?: string };
      };
    }[];
  };
}

/** Core `v1` Secret; values of `data` are base64. */
export interface Secret extends KubernetesObject {
  type?: string;
  data?: Record<string, string>;
  stringData?: Record<string, string>;
}

export interface ConfigMap extends KubernetesObject {
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
}

export interface PersistentVolumeClaim extends KubernetesObject {
  spec?: {
    accessModes?: string[];
    storageClassName?: string;
    volumeMode?: string;
    resources?: { requests?: Record<string, string> };
  };
  status?: { phase?: string; capacity?: Record<string, string> };
}

/** Core `v1` Event. */
export interface ClusterEvent extends KubernetesObject {
  type?: string;
  reason?: string;
  message?: string;
  count?: number;
  involvedObject?: { kind?: string; namespace?: string; name?: string; uid?: string };
  firstTimestamp?: string | null;
  lastTimestamp?: string | null;
  eventTime?: string | null;
}

/** `snapshot.storage.k8s.io/v1` VolumeSnapshot. `readyToUse`: absent = unknown, false = not yet. */
export interface VolumeSnapshot extends KubernetesObject {
  spec?: {
    volumeSnapshotClassName?: string;
    source: { persistentVolumeClaimName?: string; volumeSnapshotContentName?: string };
  };
  status?: {
    boundVolumeSnapshotContentName?: string;
    creationTime?: string;
    readyToUse?: boolean;
    /** A quantity: the least size of a volume made from it. */
    restoreSize?: string;
    error?: { time?: string; message?: string };
  };
}

/** Where the content of volumes can be read. */
export interface ExportLink {
  /** Certificates to trust there (PEM). */
  cert: string;
  volumes?: { name: string; formats: { format: string; url: string }[] }[];
}

/** `export.kubevirt.io/v1beta1` VirtualMachineExport. */
export interface VirtualMachineExport extends KubernetesObject {
  spec: {
    source: { apiGroup: string; kind: string; name: string };
    tokenSecretRef: string;
    /** A Go duration, after which KubeVirt removes the object. */
    ttlDuration?: string;
  };
  status?: {
    phase?: string;
    links?: { external?: ExportLink; internal?: ExportLink };
    conditions?: Condition[];
  };
}

/** `k8s.cni.cncf.io/v1` NetworkAttachmentDefinition; `config` is JSON text. */
export interface NetworkAttachmentDefinition extends KubernetesObject {
  spec?: { config?: string };
}

/** `kubeovn.io/v1` Vpc (cluster-scoped). */
export interface Vpc extends KubernetesObject {
  spec?: { staticRoutes?: { policy?: string; cidr: string; nextHopIP: string }[] };
  status?: { standby?: boolean; router?: string; subnets?: string[] };
}

/** `storage.k8s.io/v1` StorageClass (cluster-scoped). */
export interface StorageClass extends KubernetesObject {
  provisioner?: string;
  allowVolumeExpansion?: boolean;
}

/** Core `v1` ResourceQuota; quantities by resource. */
export interface ResourceQuota extends KubernetesObject {
  spec?: { hard?: Readonly<Record<string, string>>; scopes?: readonly string[]; scopeSelector?: object };
}

/** `storage.k8s.io/v1` CSIStorageCapacity: free storage of a driver for new volumes of a class, in a part of the topology. */
export interface StorageCapacity extends KubernetesObject {
  storageClassName?: string;
  /** A quantity. */
  capacity?: string;
}

/** `snapshot.storage.k8s.io/v1` VolumeSnapshotClass (cluster-scoped). */
export interface VolumeSnapshotClass extends KubernetesObject {
  driver?: string;
  deletionPolicy?: string;
}

/** `cdi.kubevirt.io/v1beta1` StorageProfile (cluster-scoped, named like its storage class). */
export interface StorageProfile extends KubernetesObject {
  status?: { claimPropertySets?: object[] };
}

/** `kubevirt.io/v1` KubeVirt: the installation. */
export interface KubeVirt extends KubernetesObject {
  spec?: {
    configuration?: {
      developerConfiguration?: { featureGates?: readonly string[] };
      network?: { binding?: Readonly<Record<string, { domainAttachmentType?: string }>> };
    };
  };
  status?: { phase?: string; observedKubeVirtVersion?: string };
}

/** `cdi.kubevirt.io/v1beta1` CDI (cluster-scoped): the installation. */
export interface Cdi extends KubernetesObject {
  status?: { phase?: string; observedVersion?: string };
}

/** `kubeovn.io/v1` Subnet (cluster-scoped). The controller writes into spec: never compare it. */
export interface Subnet extends KubernetesObject {
  spec?: {
    vpc?: string;
    cidrBlock?: string;
    gateway?: string;
    excludeIps?: string[];
    provider?: string;
    protocol?: string;
    namespaces?: string[];
    natOutgoing?: boolean;
    private?: boolean;
    enableDHCP?: boolean;
    dhcpV4Options?: string;
    disableGatewayCheck?: boolean;
    /** The subnet of pods that name none. */
    default?: boolean;
  };
  status?: { conditions?: Condition[]; v4usingIPs?: number | string };
}

/** `kubeovn.io/v1` VpcEgressGateway (namespaced). */
export interface VpcEgressGateway extends KubernetesObject {
  spec?: {
    vpc?: string;
    replicas?: number;
    internalSubnet?: string;
    externalSubnet: string;
    internalIPs?: string[];
    policies?: { snat?: boolean; ipBlocks?: string[]; subnets?: string[] }[];
  };
  status?: { phase?: string; ready?: boolean; internalIPs?: string[]; conditions?: Condition[] };
}

/** `kubeovn.io/v1` IP (cluster-scoped): one address in use. */
export interface IpAddress extends KubernetesObject {
  spec?: { subnet?: string; podName?: string; namespace?: string; podType?: string; ipAddress?: string };
}

/** Core `v1` Service: the fields that the farm reads or writes. */
export interface Service extends KubernetesObject {
  spec?: {
    selector?: Record<string, string>;
    ipFamilies?: string[];
    ports?: { name?: string; protocol?: string; port: number }[];
    /** Given by the cluster. */
    clusterIP?: string;
  };
}

interface NetworkPeer {
  podSelector?: { matchLabels?: Record<string, string> };
  namespaceSelector?: { matchLabels?: Record<string, string> };
  ipBlock?: { cidr: string; except?: string[] };
}

interface NetworkPort {
  protocol?: string;
  port: number;
}

/** `networking.k8s.io/v1` NetworkPolicy. Without ports all of them; an empty list of rules denies all traffic. */
export interface NetworkPolicy extends KubernetesObject {
  spec?: {
    podSelector: { matchLabels?: Record<string, string> };
    policyTypes?: string[];
    ingress?: { from?: NetworkPeer[]; ports?: NetworkPort[] }[];
    egress?: { to?: NetworkPeer[]; ports?: NetworkPort[] }[];
  };
}
