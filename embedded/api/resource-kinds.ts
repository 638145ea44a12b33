import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packagePath } from '../../common/config/package-root.ts';
import { AGE, CORE_KINDS, type CoreKind, CRD_KIND, OPEN_KINDS } from './core-kinds.ts';
import { stringsOf } from './json-lists.ts';
import { fieldAt, isJsonObject, type KubeObject, type PrinterColumn, type ResourceKind } from './objects.ts';
import { coreSchema } from './schema/core-schemas.ts';

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

function kindOfDefinition(definition: KubeObject): ResourceKind {
  const spec = definition.spec ?? {};
  const version = fieldAt(spec, 'versions', 0);
  const columns = fieldAt(version, 'additionalPrinterColumns');
  const schema = fieldAt(version, 'schema', 'openAPIV3Schema');
  return {
    group: String(spec['group']),
    version: String(fieldAt(version, 'name')),
    kind: String(fieldAt(spec, 'names', 'kind')),
    plural: String(fieldAt(spec, 'names', 'plural')),
    singular: String(fieldAt(spec, 'names', 'singular')),
    namespaced: spec['scope'] === 'Namespaced',
    shortNames: stringsOf(spec, 'names', 'shortNames'),
    categories: stringsOf(spec, 'names', 'categories'),
    statusSubresource: isJsonObject(fieldAt(version, 'subresources', 'status')),
    custom: true,
    printerColumns: Array.isArray(columns) ? (columns as PrinterColumn[]) : [AGE],
    ...(isJsonObject(schema) ? { schema } : {}),
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
