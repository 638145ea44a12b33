import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packagePath } from '../../common/config/package-root.ts';
import {
  fieldAt,
  isJsonObject,
  type JsonObject,
  type KubeObject,
  type PrinterColumn,
  type ResourceKind,
} from './objects.ts';
import { coreSchema } from './schema/core-schemas.ts';

const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

type CoreKind = Pick<ResourceKind, 'kind' | 'plural' | 'namespaced'> & Partial<ResourceKind>;

function column(name: string, jsonPath: string, type = 'string'): PrinterColumn {
  return { name, type, jsonPath };
}

/** Kinds that a cluster has without any CRD. */
const CORE_KINDS: readonly CoreKind[] = [
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
const OPEN_KINDS: readonly CoreKind[] = [
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

const CRD_KIND: CoreKind = {
  group: 'apiextensions.k8s.io',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
  shortNames: ['crd', 'crds'],
  readOnly: true,
  printerColumns: [{ name: 'Created At', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
};

function resourceKind(kind: CoreKind): ResourceKind {
  const schema = kind.custom ? undefined : coreSchema(kind.group ?? '', kind.kind);
  return {
    group: '',
    version: 'v1',
    singular: kind.kind.toLowerCase(),
    shortNames: [],
    categories: [],
    statusSubresource: false,
    custom: false,
    printerColumns: [AGE],
    ...(schema ? { schema } : {}),
    ...kind,
  };
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function kindOfDefinition(definition: KubeObject): ResourceKind {
  const spec = definition.spec ?? {};
  const version = fieldAt(spec, 'versions', 0);
  const columns = fieldAt(version, 'additionalPrinterColumns');
  const schema = fieldAt(version, 'schema', 'openAPIV3Schema');
  const scale = fieldAt(version, 'subresources', 'scale');
  return {
    group: String(spec['group']),
    version: String(fieldAt(version, 'name')),
    kind: String(fieldAt(spec, 'names', 'kind')),
    plural: String(fieldAt(spec, 'names', 'plural')),
    singular: String(fieldAt(spec, 'names', 'singular')),
    namespaced: spec['scope'] === 'Namespaced',
    shortNames: strings(fieldAt(spec, 'names', 'shortNames')),
    categories: strings(fieldAt(spec, 'names', 'categories')),
    statusSubresource: isJsonObject(fieldAt(version, 'subresources', 'status')),
    custom: true,
    printerColumns: Array.isArray(columns) ? (columns as PrinterColumn[]) : [AGE],
    ...(isJsonObject(schema) ? { schema } : {}),
    ...(isJsonObject(scale) ? { scale: scaleOf(scale) } : {}),
  };
}

function scaleOf(scale: JsonObject): NonNullable<ResourceKind['scale']> {
  return {
    specReplicasPath: String(scale['specReplicasPath']),
    statusReplicasPath: String(scale['statusReplicasPath']),
  };
}

/** A definition for a custom kind whose schema is not vendored. */
function openDefinition(kind: ResourceKind): KubeObject {
  const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${kind.group}` },
    spec: {
      group: kind.group,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: kind.shortNames,
      },
      scope: kind.namespaced ? 'Namespaced' : 'Cluster',
      versions: [
        {
          name: kind.version,
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: open },
        },
      ],
    },
  };
}

/** All served kinds, and the CustomResourceDefinition objects that describe them to clients. */
export interface ServedApi {
  readonly kinds: readonly ResourceKind[];
  readonly definitions: readonly KubeObject[];
}

/** Reads the vendored definitions (see `crds/README.md`) of all but some groups, and adds the kinds that need none. */
export function loadServedApi(withoutGroups: readonly string[] = []): ServedApi {
  const folder = packagePath('embedded', 'api', 'crds');
  const vendored = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as KubeObject)
    .filter(({ spec }) => !withoutGroups.includes(String(spec?.['group'])));
  const open = OPEN_KINDS.filter(({ group = '' }) => !withoutGroups.includes(group)).map(resourceKind);
  const core = [...CORE_KINDS, CRD_KIND].map(resourceKind);
  return {
    kinds: [...core, ...open, ...vendored.map(kindOfDefinition)],
    definitions: [...vendored, ...open.map(openDefinition)],
  };
}
