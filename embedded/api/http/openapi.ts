import { apiVersionOf, type JsonObject, type ResourceKind } from '../objects.ts';

const FIELD_VALIDATION = {
  name: 'fieldValidation',
  in: 'query',
  schema: { type: 'string', uniqueItems: true },
};

function basePath(kind: Pick<ResourceKind, 'group' | 'version'>): string {
  return kind.group === '' ? `api/${kind.version}` : `apis/${kind.group}/${kind.version}`;
}

/**
 * OpenAPI v3 as far as kubectl needs it: which kinds exist, and that writes know `fieldValidation` (without it kubectl
 * wants to validate by itself and refuses to create anything). It contains no schemas.
 */
export class OpenApi {
  readonly #documents = new Map<string, JsonObject>();

  constructor(kinds: readonly ResourceKind[]) {
    const paths: JsonObject = {};
    for (const kind of kinds) {
      const path = basePath(kind);
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}` };
      const here = kinds.filter((other) => basePath(other) === path);
      this.#documents.set(`/openapi/v3/${path}`, documentOf(here));
    }
    this.#documents.set('/openapi/v3', { paths });
  }

  /** The document of a path; undefined when there is none. */
  document(pathname: string): JsonObject | undefined {
    return this.#documents.get(pathname);
  }
}

function documentOf(kinds: readonly ResourceKind[]): JsonObject {
  const paths = kinds.flatMap((kind) => {
    const scope = kind.namespaced ? '/namespaces/{namespace}' : '';
    const collection = `/${basePath(kind)}${scope}/${kind.plural}`;
    const gvk = { group: kind.group, version: kind.version, kind: kind.kind };
    const write = (action: string) => ({
      'x-kubernetes-action': action,
      'x-kubernetes-group-version-kind': gvk,
      parameters: [FIELD_VALIDATION],
      responses: { 200: { description: 'OK' } },
    });
    return [
      [collection, { post: write('post') }],
      [`${collection}/{name}`, { patch: write('patch'), put: write('put') }],
    ];
  });
  const [first] = kinds;
  const info = { title: 'Slipway embedded cluster', version: first ? apiVersionOf(first) : '' };
  return { openapi: '3.0.0', info, paths: Object.fromEntries(paths), components: { schemas: {} } };
}
