import { apiVersionOf, type JsonObject, type ResourceKind } from '../objects.ts';

const READ_VERBS = ['get', 'list', 'watch'];
const ALL_VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** A resource without stored objects: a subresource, or a question such as SelfSubjectAccessReview. */
export interface VirtualResource {
  readonly group: string;
  readonly version: string;
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

function resourceEntry(kind: ResourceKind): JsonObject {
  return {
    name: kind.plural,
    singularName: kind.singular,
    namespaced: kind.namespaced,
    kind: kind.kind,
    verbs: kind.readOnly ? READ_VERBS : ALL_VERBS,
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
  };
}

function subresourceEntries(kind: ResourceKind): JsonObject[] {
  const base = { singularName: '', namespaced: kind.namespaced };
  const verbs = ['get', 'patch', 'update'];
  return [...(kind.statusSubresource ? [{ ...base, name: `${kind.plural}/status`, kind: kind.kind, verbs }] : [])];
}

/** The discovery documents of all served kinds (`/api`, `/apis` and below), in their unaggregated form. */
export class Discovery {
  readonly #documents = new Map<string, JsonObject>();

  constructor(kinds: readonly ResourceKind[], virtual: readonly VirtualResource[]) {
    const versions = new Map<string, Set<string>>();
    for (const { group, version } of [...kinds, ...virtual]) {
      versions.set(group, (versions.get(group) ?? new Set<string>()).add(version));
    }
    const groups: JsonObject[] = [];
    for (const [group, served] of versions) {
      for (const version of served) this.#addVersion({ group, version }, kinds, virtual);
      if (group === '') continue;
      const listed = [...served].map((version) => ({ groupVersion: `${group}/${version}`, version }));
      const entry = { name: group, versions: listed, preferredVersion: listed[0] };
      groups.push(entry);
      this.#documents.set(`/apis/${group}`, { kind: 'APIGroup', apiVersion: 'v1', ...entry });
    }
    this.#documents.set('/api', { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] });
    this.#documents.set('/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups });
  }

  /** The document of a path; undefined when the path is none of discovery. */
  document(pathname: string): JsonObject | undefined {
    return this.#documents.get(pathname.replace(/\/+$/, ''));
  }

  #addVersion(
    at: { group: string; version: string },
    kinds: readonly ResourceKind[],
    virtual: readonly VirtualResource[],
  ): void {
    const isHere = (other: { group: string; version: string }) =>
      other.group === at.group && other.version === at.version;
    const resources = [
      ...kinds.filter(isHere).flatMap((kind) => [resourceEntry(kind), ...subresourceEntries(kind)]),
      ...virtual
        .filter(isHere)
        .map(({ name, kind, namespaced, verbs }) => ({ name, singularName: '', namespaced, kind, verbs })),
    ];
    const groupVersion = apiVersionOf(at);
    const path = at.group === '' ? `/api/${at.version}` : `/apis/${groupVersion}`;
    this.#documents.set(path, { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources });
  }
}
