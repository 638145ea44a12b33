import type { ClusterClient } from '../harness/cluster-client.ts';

/** Kinds of the core that the embedded cluster serves, by the OpenAPI document that describes them. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  'api/v1': [
    ...['v1.ConfigMap', 'v1.Event', 'v1.Namespace', 'v1.Node', 'v1.PersistentVolume', 'v1.PersistentVolumeClaim'],
    ...['v1.Pod', 'v1.Secret', 'v1.Service'],
  ].map((name) => `io.k8s.api.core.${name}`),
  'apis/networking.k8s.io/v1': ['io.k8s.api.networking.v1.NetworkPolicy'],
  'apis/storage.k8s.io/v1': ['io.k8s.api.storage.v1.CSIStorageCapacity', 'io.k8s.api.storage.v1.StorageClass'],
  'apis/coordination.k8s.io/v1': ['io.k8s.api.coordination.v1.Lease'],
};
/** What says nothing of the form of an object. `required` is not asked when a body is read; admission is. */
const LEFT_OUT = new Set(['description', 'default', 'required', 'x-kubernetes-group-version-kind']);
const REFERENCE = '#/components/schemas/';

type Json = Record<string, unknown>;

/** The schemas of these kinds and of all that they refer to, by name, as an API server publishes them. */
export async function readCoreSchemas(client: ClusterClient): Promise<Json> {
  const schemas: Json = {};
  for (const [document, kinds] of Object.entries(KINDS)) {
    const { body } = await client.send('GET', `/openapi/v3/${document}`);
    const published = (body['components'] as { schemas: Json }).schemas;
    for (const kind of kinds) collect(kind, published, schemas);
  }
  return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function collect(name: string, published: Json, into: Json): void {
  if (name in into) return;
  const references: string[] = [];
  into[name] = reduced(published[name], references);
  for (const reference of references) collect(reference, published, into);
}

/** Leaves `{ $ref }` with the bare name, where the document wraps references to give them a description. */
function reduced(value: unknown, references: string[], isMap = false): unknown {
  if (Array.isArray(value)) return value.map((item) => reduced(item, references));
  if (typeof value !== 'object' || value === null) return value;
  const { allOf, $ref, ...rest } = value as { allOf?: readonly Json[]; $ref?: string };
  const reference = isMap ? undefined : ($ref ?? allOf?.[0]?.['$ref']);
  if (typeof reference === 'string') {
    const name = reference.slice(REFERENCE.length);
    references.push(name);
    return { $ref: name };
  }
  return Object.fromEntries(
    Object.entries(rest)
      .filter(([field]) => isMap || !LEFT_OUT.has(field))
      .map(([field, content]) => [field, reduced(content, references, field === 'properties')]),
  );
}
