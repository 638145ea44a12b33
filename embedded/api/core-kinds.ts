import type { PrinterColumn, ResourceKind } from './objects.ts';

export const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** A kind of the table below; absent fields have the defaults of `resourceKind`. */
export type CoreKind = Pick<ResourceKind, 'kind' | 'plural' | 'namespaced'> & Partial<ResourceKind>;

function column(name: string, jsonPath: string, type = 'string'): PrinterColumn {
  return { name, type, jsonPath };
}

/** Kinds that a cluster has without any CRD. */
export const CORE_KINDS: readonly CoreKind[] = [
  {
    kind: 'Namespace',
    plural: 'namespaces',
    namespaced: false,
    shortNames: ['ns'],
    statusSubresource: true,
    printerColumns: [column('Status', '.status.phase'), AGE],
  },
  {
    kind: 'Node',
    plural: 'nodes',
    namespaced: false,
    shortNames: ['no'],
    statusSubresource: true,
    printerColumns: [column('Version', '.status.nodeInfo.kubeletVersion'), AGE],
  },
  {
    kind: 'Pod',
    plural: 'pods',
    namespaced: true,
    shortNames: ['po'],
    categories: ['all'],
    statusSubresource: true,
    printerColumns: [column('Status', '.status.phase'), column('IP', '.status.podIP'), AGE],
  },
  {
    kind: 'Secret',
    plural: 'secrets',
    namespaced: true,
    printerColumns: [column('Type', '.type'), AGE],
  },
  { kind: 'ConfigMap', plural: 'configmaps', namespaced: true, shortNames: ['cm'] },
  {
    kind: 'Event',
    plural: 'events',
    namespaced: true,
    shortNames: ['ev'],
    printerColumns: [
      { name: 'Last Seen', type: 'date', jsonPath: '.lastTimestamp' },
      column('Type', '.type'),
      column('Reason', '.reason'),
      column('Object', '.involvedObject.name'),
      column('Message', '.message'),
    ],
  },
  {
    kind: 'PersistentVolumeClaim',
    plural: 'persistentvolumeclaims',
    namespaced: true,
    shortNames: ['pvc'],
    statusSubresource: true,
    printerColumns: [
      column('Status', '.status.phase'),
      column('Volume', '.spec.volumeName'),
      column('Capacity', '.status.capacity.storage'),
      column('StorageClass', '.spec.storageClassName'),
      AGE,
    ],
  },
  {
    kind: 'PersistentVolume',
    plural: 'persistentvolumes',
    namespaced: false,
    shortNames: ['pv'],
    statusSubresource: true,
    printerColumns: [column('Capacity', '.spec.capacity.storage'), column('Status', '.status.phase'), AGE],
  },
  {
    group: 'storage.k8s.io',
    kind: 'StorageClass',
    plural: 'storageclasses',
    namespaced: false,
    shortNames: ['sc'],
    printerColumns: [column('Provisioner', '.provisioner'), column('VolumeBindingMode', '.volumeBindingMode'), AGE],
  },
  {
    group: 'storage.k8s.io',
    kind: 'CSIStorageCapacity',
    plural: 'csistoragecapacities',
    namespaced: true,
    printerColumns: [column('StorageClassName', '.storageClassName'), column('Capacity', '.capacity'), AGE],
  },
  {
    kind: 'Service',
    plural: 'services',
    namespaced: true,
    shortNames: ['svc'],
    categories: ['all'],
    statusSubresource: true,
    printerColumns: [column('Type', '.spec.type'), column('Cluster-IP', '.spec.clusterIP'), AGE],
  },
  {
    group: 'networking.k8s.io',
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    namespaced: true,
    shortNames: ['netpol'],
  },
  { group: 'coordination.k8s.io', kind: 'Lease', plural: 'leases', namespaced: true },
];

/** Custom kinds whose schema is not vendored: their content is written only by this server. */
export const OPEN_KINDS: readonly CoreKind[] = [
  {
    group: 'kubevirt.io',
    kind: 'KubeVirt',
    plural: 'kubevirts',
    namespaced: true,
    shortNames: ['kv', 'kvs'],
    statusSubresource: true,
    custom: true,
    printerColumns: [AGE, column('Phase', '.status.phase')],
  },
  {
    group: 'cdi.kubevirt.io',
    version: 'v1beta1',
    kind: 'CDI',
    plural: 'cdis',
    namespaced: false,
    shortNames: ['cdi'],
    statusSubresource: true,
    custom: true,
    printerColumns: [AGE, column('Phase', '.status.phase')],
  },
  {
    group: 'cdi.kubevirt.io',
    version: 'v1beta1',
    kind: 'StorageProfile',
    plural: 'storageprofiles',
    namespaced: false,
    statusSubresource: true,
    custom: true,
  },
  {
    group: 'export.kubevirt.io',
    version: 'v1beta1',
    kind: 'VirtualMachineExport',
    plural: 'virtualmachineexports',
    namespaced: true,
    shortNames: ['vmexport', 'vmexports'],
    statusSubresource: true,
    custom: true,
    printerColumns: [AGE, column('SourceKind', '.spec.source.kind'), column('Phase', '.status.phase')],
  },
];

export const CRD_KIND: CoreKind = {
  group: 'apiextensions.k8s.io',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
  shortNames: ['crd', 'crds'],
  readOnly: true,
  printerColumns: [{ name: 'Created At', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
};
