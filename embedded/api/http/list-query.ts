import { ApiError, badRequest, expired, resourceVersionTooLarge } from '../api-error.ts';
import type { KubeObject, ResourceKind } from '../objects.ts';
import { compileFieldSelector, compileLabelSelector, type ObjectFilter } from '../selectors.ts';
import type { ResourcePath } from './resource-path.ts';

/** Which objects a list, watch or collection delete is about. */
export function filterOf(query: URLSearchParams, kind: ResourceKind, path: ResourcePath): ObjectFilter {
  const labels = compileLabelSelector(query.get('labelSelector') ?? '');
  const fields = compileFieldSelector(query.get('fieldSelector') ?? '', kind.kind);
  return (object) =>
    (path.namespace === undefined || object.metadata.namespace === path.namespace) &&
    (path.name === undefined || object.metadata.name === path.name) &&
    labels(object) &&
    fields(object);
}

/** Whether a query parameter is set to a true value. */
export function isTrue(value: string | null): boolean {
  return value !== null && ['', '1', 't', 'true'].includes(value.toLowerCase());
}

/** A query parameter that is a number of at least 0; undefined when absent. @throws ApiError 400 */
export function numberParameter(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d+$/.test(text)) throw badRequest(`invalid value "${text}" for the parameter ${name}`);
  return Number(text);
}

/** A part of a list. */
export interface Page {
  readonly items: readonly KubeObject[];
  /** Metadata of the list: `continue` and `remainingItemCount` when there is more. */
  readonly metadata: { readonly continue?: string; readonly remainingItemCount?: number };
}

/**
 * Cuts a sorted list by `limit` and `continue`. A token names the object that the next page begins with; pages show
 * the state of their own moment, not that of the first page.
 */
export function pageOf(objects: readonly KubeObject[], query: URLSearchParams): Page {
  // A list of "any" position comes from the server's cache, which knows no pages.
  const limit = query.get('resourceVersion') === '0' ? 0 : (numberParameter(query, 'limit') ?? 0);
  const start = readToken(query.get('continue'));
  const first = start === undefined ? 0 : objects.findIndex((object) => orderOf(object) >= start);
  const rest = first < 0 ? [] : objects.slice(first);
  const next = limit > 0 ? rest[limit] : undefined;
  if (!next) return { items: rest, metadata: {} };
  const token = Buffer.from(orderOf(next)).toString('base64url');
  return { items: rest.slice(0, limit), metadata: { continue: token, remainingItemCount: rest.length - limit } };
}

function readToken(token: string | null): string | undefined {
  if (!token) return undefined;
  const start = Buffer.from(token, 'base64url').toString('utf8');
  // Every token begins with a namespace, or with the slash behind none.
  if (!start.includes('/')) throw badRequest('continue key is not valid: illegal base64 data');
  return start;
}

/**
 * Checks which position a list asks for; the present state answers all that pass.
 * @throws ApiError 400 for an invalid position, 410 for an exact one that is past, 422 for parameters that contradict each
 * other, 504 for one that is not reached yet
 */
export function assertPosition(query: URLSearchParams, current: number): void {
  const position = numberParameter(query, 'resourceVersion');
  const match = query.get('resourceVersionMatch') ?? '';
  const refuse = (why: string) => new ApiError(422, 'Invalid', `ListOptions.meta.k8s.io "" is invalid: ${why}`);
  if (match !== '') {
    if (position === undefined)
      throw refuse(
        'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided',
      );
    if (!['Exact', 'NotOlderThan'].includes(match))
      throw refuse(`resourceVersionMatch: Unsupported value: "${match}": supported values: "Exact", "NotOlderThan"`);
    if (match === 'Exact' && position === 0)
      throw refuse(
        'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
      );
  }
  if (position === undefined) return;
  if (position > current) throw resourceVersionTooLarge(position, current);
  if (match === 'Exact' && position < current) throw expired(String(position), current);
}

function orderOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}
