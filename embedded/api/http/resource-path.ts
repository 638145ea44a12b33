/** The resource of a URL under `/api/v1` or `/apis/<group>/<version>`. */
export interface ResourcePath {
  readonly group: string;
  readonly version: string;
  readonly namespace?: string;
  /** Plural name of the resource. */
  readonly resource: string;
  readonly name?: string;
  /** Everything after the name, such as `['status']` or `['portforward', '22', 'tcp']`. */
  readonly subresource: readonly string[];
}

/** Reads a resource path as apiserver's RequestInfo does; undefined for any other path. */
export function parseResourcePath(pathname: string): ResourcePath | undefined {
  const parts = pathname.split('/').filter((part) => part !== '');
  const decoded = parts.map(decodeURIComponent);
  const isCore = decoded[0] === 'api';
  if (!isCore && decoded[0] !== 'apis') return undefined;
  const [group = '', version = ''] = isCore ? ['', decoded[1]] : [decoded[1], decoded[2]];
  const rest = decoded.slice(isCore ? 2 : 3);
  if (rest.length === 0) return undefined;
  const isNamespaced = rest[0] === 'namespaces' && rest.length > 2 && !['status', 'finalize'].includes(rest[2] ?? '');
  const [resource = '', name, ...subresource] = isNamespaced ? rest.slice(2) : rest;
  return {
    group,
    version,
    resource,
    subresource,
    ...(isNamespaced ? { namespace: rest[1] ?? '' } : {}),
    ...(name === undefined ? {} : { name }),
  };
}

/** The verb of a request as audit logs and access rules name it. */
export function verbOf(method: string, path: ResourcePath, isWatch: boolean): string {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return path.name === undefined ? 'deletecollection' : 'delete';
    default:
      if (isWatch) return 'watch';
      return path.name === undefined ? 'list' : 'get';
  }
}
