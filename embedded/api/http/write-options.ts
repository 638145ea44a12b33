import { ApiError, badRequest } from '../api-error.ts';
import type { ClientWrites, WriteOptions } from '../client-writes.ts';
import type { Propagation } from '../deletion.ts';
import { fieldAt, isJsonObject, type JsonObject } from '../objects.ts';
import type { FieldValidation } from '../schema/decoding.ts';
import { type Exchange, readObject } from './exchange.ts';
import { numberParameter } from './list-query.ts';
import type { ResourcePath } from './resource-path.ts';

/** Reads dryRun, fieldValidation (by default unknown fields are dropped with a warning) and the subresource. */
export function writeOptions(exchange: Exchange, path: ResourcePath): WriteOptions {
  const query = exchange.url.searchParams;
  return {
    dryRun: isDryRun(query.getAll('dryRun')),
    fieldValidation: fieldValidationOf(query.get('fieldValidation')),
    subresource: path.subresource[0],
  };
}

/** Delete options come in the body, in the query, or both. */
export async function deleteOptions(exchange: Exchange): Promise<ReadDeleteOptions> {
  const query = exchange.url.searchParams;
  const body = await readObject(exchange.request);
  const given = isJsonObject(body) ? body : {};
  const propagation = query.get('propagationPolicy') ?? given['propagationPolicy'] ?? undefined;
  if (propagation !== undefined && !['Background', 'Foreground', 'Orphan'].includes(String(propagation))) {
    throw new ApiError(422, 'Invalid', `propagationPolicy: Unsupported value: ${JSON.stringify(propagation)}`);
  }
  const grace = numberParameter(query, 'gracePeriodSeconds') ?? given['gracePeriodSeconds'];
  const uid = fieldAt(given, 'preconditions', 'uid');
  const resourceVersion = fieldAt(given, 'preconditions', 'resourceVersion');
  const dryRun = given['dryRun'];
  return {
    dryRun: isDryRun([...query.getAll('dryRun'), ...(Array.isArray(dryRun) ? dryRun : [])]),
    propagation: orphansDependents(given, query) ? 'Orphan' : (propagation as Propagation | undefined),
    gracePeriodSeconds: typeof grace === 'number' ? grace : undefined,
    preconditions: {
      uid: typeof uid === 'string' ? uid : undefined,
      resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : undefined,
    },
  };
}

type ReadDeleteOptions = Parameters<ClientWrites['delete']>[2];

/** The older spelling of `propagationPolicy: Orphan`. */
function orphansDependents(body: JsonObject, query: URLSearchParams): boolean {
  return body['orphanDependents'] === true || query.get('orphanDependents') === 'true';
}

function fieldValidationOf(text: string | null): FieldValidation {
  if (text === null || text === '') return 'Warn';
  if (text === 'Strict' || text === 'Warn' || text === 'Ignore') return text;
  throw new ApiError(
    422,
    'Invalid',
    `fieldValidation: Unsupported value: "${text}": supported values: "Ignore", "Strict", "Warn"`,
  );
}

function isDryRun(values: readonly unknown[]): boolean {
  if (values.some((value) => value !== 'All')) throw badRequest('Invalid value for dryRun: only "All" is supported');
  return values.length > 0;
}
