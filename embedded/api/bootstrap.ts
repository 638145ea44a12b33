import type { KubeObject } from './objects.ts';
import type { Store } from './store.ts';

/** The versions that the embedded cluster imitates, as a real one reports them. */
export const KUBEVIRT_VERSION = 'v1.9.0';
/** The CDI version that `status.observedVersion` of the CDI object names. */
export const CDI_VERSION = 'v1.66.0';
const KUBELET_VERSION = 'v1.32.0';
/** The one storage class: qcow2 files in the data directory. */
export const STORAGE_CLASS = 'slipway-files';
const NODE = 'slipway-embedded';
const PROVISIONER = 'files.embedded.slipway';

function namespace(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'kubernetes.io/metadata.name': name } },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  };
}

const AVAILABLE = [
  { type: 'Available', status: 'True', reason: 'AllComponentsReady', message: 'All components are ready.' },
];

/** Objects that a cluster has from its installation on. */
const INSTALLED: readonly KubeObject[] = [
  ...['default', 'kube-system', 'kubevirt'].map(namespace),
  {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: NODE, labels: { 'kubernetes.io/hostname': NODE, 'kubevirt.io/schedulable': 'true' } },
    spec: {},
    status: {
      conditions: [{ type: 'Ready', status: 'True', reason: 'EmbeddedReady', message: 'This machine is the cluster.' }],
      nodeInfo: { kubeletVersion: KUBELET_VERSION, architecture: 'amd64', operatingSystem: 'linux' },
    },
  },
  {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: STORAGE_CLASS,
      annotations: {
        'storageclass.kubernetes.io/is-default-class': 'true',
        'storageclass.kubevirt.io/is-default-virt-class': 'true',
      },
    },
    provisioner: PROVISIONER,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'Immediate',
    allowVolumeExpansion: true,
  },
  {
    apiVersion: 'snapshot.storage.k8s.io/v1',
    kind: 'VolumeSnapshotClass',
    metadata: { name: STORAGE_CLASS, annotations: { 'snapshot.storage.kubernetes.io/is-default-class': 'true' } },
    driver: PROVISIONER,
    deletionPolicy: 'Delete',
  },
  {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'StorageProfile',
    metadata: { name: STORAGE_CLASS },
    spec: {},
    status: {
      storageClass: STORAGE_CLASS,
      provisioner: PROVISIONER,
      claimPropertySets: [{ accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' }],
      cloneStrategy: 'snapshot',
      dataImportCronSourceFormat: 'snapshot',
      snapshotClass: STORAGE_CLASS,
    },
  },
  {
    apiVersion: 'kubevirt.io/v1',
    kind: 'KubeVirt',
    metadata: { name: 'kubevirt', namespace: 'kubevirt' },
    spec: { configuration: { network: { binding: { managedtap: { domainAttachmentType: 'managedTap' } } } } },
    status: {
      phase: 'Deployed',
      observedKubeVirtVersion: KUBEVIRT_VERSION,
      operatorVersion: KUBEVIRT_VERSION,
      targetKubeVirtVersion: KUBEVIRT_VERSION,
      conditions: AVAILABLE,
    },
  },
  {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'CDI',
    metadata: { name: 'cdi' },
    spec: {},
    status: {
      phase: 'Deployed',
      observedVersion: CDI_VERSION,
      operatorVersion: CDI_VERSION,
      targetVersion: CDI_VERSION,
      conditions: AVAILABLE,
    },
  },
];

/** Creates the missing objects of an installation, and brings the definitions of the kinds up to date. */
export async function installCluster(
  store: Store,
  definitions: readonly KubeObject[],
  namespaces: readonly string[],
): Promise<void> {
  const missing = [...INSTALLED, ...namespaces.map(namespace)].filter(
    ({ kind, metadata }) => !store.get(kind, metadata),
  );
  const creations = missing.map((object) => store.create(object));
  const updates = definitions.map((definition) => installDefinition(store, definition));
  await Promise.all([...creations, ...updates]);
  await Promise.all(INSTALLED.filter(({ kind }) => OPERATED.has(kind)).map((object) => upgrade(store, object)));
}

/** Kinds that report the installation of a product. */
const OPERATED = new Set(['KubeVirt', 'CDI']);

/** Updates objects of an older server to this version. */
async function upgrade(store: Store, { kind, metadata, spec = {}, status = {} }: KubeObject): Promise<void> {
  await store.mutate(kind, metadata, (draft) => {
    draft.spec = spec;
    draft.status = status;
  });
}

async function installDefinition(store: Store, { apiVersion, kind, metadata, spec = {} }: KubeObject): Promise<void> {
  const { name, labels = {}, annotations = {} } = metadata;
  const versions = Array.isArray(spec['versions']) ? spec['versions'] : [];
  const status = {
    acceptedNames: spec['names'],
    conditions: [
      { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' },
      { type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: 'the names have been accepted' },
    ],
    storedVersions: versions.map((version: { name?: unknown }) => version.name),
  };
  const object: KubeObject = { apiVersion, kind, metadata: { name, labels, annotations }, spec, status };
  if (!store.get(kind, { name })) {
    await store.create(object);
    return;
  }
  await upgrade(store, object);
}
