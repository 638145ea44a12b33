import type {
  Cdi,
  ClusterEvent,
  ConfigMap,
  DataVolume,
  IpAddress,
  KubernetesObject,
  KubeVirt,
  NetworkAttachmentDefinition,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  ResourceQuota,
  Secret,
  Service,
  StorageCapacity,
  StorageClass,
  StorageProfile,
  Subnet,
  VirtualMachine,
  VirtualMachineExport,
  VirtualMachineInstance,
  VolumeSnapshot,
  VolumeSnapshotClass,
  Vpc,
  VpcEgressGateway,
} from './objects.ts';

/** API path of a kind, and the type of its objects. */
export interface Resource<T extends KubernetesObject = KubernetesObject> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  /** False: cluster-scoped. */
  readonly namespaced: boolean;
  /** Carries the type only; never set. */
  readonly objectType?: T;
}

function namespaced<T extends KubernetesObject>(apiVersion: string, kind: string, plural: string): Resource<T> {
  return { apiVersion, kind, plural, namespaced: true };
}

function clusterScoped<T extends KubernetesObject>(apiVersion: string, kind: string, plural: string): Resource<T> {
  return { apiVersion, kind, plural, namespaced: false };
}

/** Every kind that the farm touches; the roles of the chart grant these and no others. */
export const RESOURCES = {
  pods: namespaced<Pod>('v1', 'Pod', 'pods'),
  secrets: namespaced<Secret>('v1', 'Secret', 'secrets'),
  configMaps: namespaced<ConfigMap>('v1', 'ConfigMap', 'configmaps'),
  events: namespaced<ClusterEvent>('v1', 'Event', 'events'),
  claims: namespaced<PersistentVolumeClaim>('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  machines: namespaced<VirtualMachine>('kubevirt.io/v1', 'VirtualMachine', 'virtualmachines'),
  instances: namespaced<VirtualMachineInstance>('kubevirt.io/v1', 'VirtualMachineInstance', 'virtualmachineinstances'),
  dataVolumes: namespaced<DataVolume>('cdi.kubevirt.io/v1beta1', 'DataVolume', 'datavolumes'),
  snapshots: namespaced<VolumeSnapshot>('snapshot.storage.k8s.io/v1', 'VolumeSnapshot', 'volumesnapshots'),
  exports: namespaced<VirtualMachineExport>(
    'export.kubevirt.io/v1beta1',
    'VirtualMachineExport',
    'virtualmachineexports',
  ),
  networkAttachments: namespaced<NetworkAttachmentDefinition>(
    'k8s.cni.cncf.io/v1',
    'NetworkAttachmentDefinition',
    'network-attachment-definitions',
  ),
  egressGateways: namespaced<VpcEgressGateway>('kubeovn.io/v1', 'VpcEgressGateway', 'vpc-egress-gateways'),
  services: namespaced<Service>('v1', 'Service', 'services'),
  networkPolicies: namespaced<NetworkPolicy>('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  vpcs: clusterScoped<Vpc>('kubeovn.io/v1', 'Vpc', 'vpcs'),
  subnets: clusterScoped<Subnet>('kubeovn.io/v1', 'Subnet', 'subnets'),
  ips: clusterScoped<IpAddress>('kubeovn.io/v1', 'IP', 'ips'),
  // Kinds that the preflight (preflight/) reads.
  namespaces: clusterScoped('v1', 'Namespace', 'namespaces'),
  quotas: namespaced<ResourceQuota>('v1', 'ResourceQuota', 'resourcequotas'),
  /** They are in the namespaces of their drivers, and are only read everywhere at once. */
  storageCapacities: clusterScoped<StorageCapacity>('storage.k8s.io/v1', 'CSIStorageCapacity', 'csistoragecapacities'),
  storageClasses: clusterScoped<StorageClass>('storage.k8s.io/v1', 'StorageClass', 'storageclasses'),
  snapshotClasses: clusterScoped<VolumeSnapshotClass>(
    'snapshot.storage.k8s.io/v1',
    'VolumeSnapshotClass',
    'volumesnapshotclasses',
  ),
  storageProfiles: clusterScoped<StorageProfile>('cdi.kubevirt.io/v1beta1', 'StorageProfile', 'storageprofiles'),
  // Has a namespace, which differs from cluster to cluster: read in all of them at once.
  kubeVirts: clusterScoped<KubeVirt>('kubevirt.io/v1', 'KubeVirt', 'kubevirts'),
  cdis: clusterScoped<Cdi>('cdi.kubevirt.io/v1beta1', 'CDI', 'cdis'),
} as const;

/** Path of a collection, or of one object in it. */
export function resourcePath(resource: Resource, namespace: string, name?: string): string {
  const root = resource.apiVersion.includes('/') ? `/apis/${resource.apiVersion}` : `/api/${resource.apiVersion}`;
  const scope = resource.namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const path = `${root}${scope}/${resource.plural}`;
  return name === undefined ? path : `${path}/${encodeURIComponent(name)}`;
}

/** `key=value,…` of equality-based label selectors. */
export function labelSelector(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}
