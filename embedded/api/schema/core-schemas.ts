import { readFileSync } from 'node:fs';
import { packagePath } from '../../../common/config/package-root.ts';
import { isJsonObject, type JsonObject } from '../objects.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
/** Schemas whose published form differs from the one that the API server accepts. */
const READ_OTHERWISE: Readonly<Record<string, JsonObject>> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': {
    'x-kubernetes-int-or-string': true,
    pattern: '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$',
  },
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': { 'x-kubernetes-int-or-string': true },
  [`${META}.FieldsV1`]: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
};

const published: Readonly<Record<string, JsonObject>> = JSON.parse(
  readFileSync(packagePath('embedded', 'api', 'core-schemas.json'), 'utf8'),
);
const resolved = new Map<string, JsonObject>();

/** The form of kinds of the core, vendored from a kube-apiserver's OpenAPI; undefined for kinds that are not among them. */
export function coreSchema(group: string, kind: string): JsonObject | undefined {
  const name = `io.k8s.api.${group === '' ? 'core' : group.split('.')[0]}.v1.${kind}`;
  return name in published ? schemaNamed(name) : undefined;
}

/** The form of the `metadata` of every object. */
export const METADATA_SCHEMA = schemaNamed(`${META}.ObjectMeta`);

function schemaNamed(name: string): JsonObject {
  const known = resolved.get(name) ?? READ_OTHERWISE[name];
  if (known) return known;
  const schema: JsonObject = {};
  // Before its parts are looked at: a schema may lead back to itself.
  resolved.set(name, schema);
  return Object.assign(schema, withReferences(published[name]));
}

function withReferences(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withReferences);
  if (!isJsonObject(value)) return value;
  if (typeof value['$ref'] === 'string') return schemaNamed(value['$ref']);
  return Object.fromEntries(Object.entries(value).map(([name, content]) => [name, withReferences(content)]));
}
