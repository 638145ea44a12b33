import { ApiError, badRequest, invalid } from '../api-error.ts';
import { isJsonObject, type JsonObject, type KubeObject, type ResourceKind } from '../objects.ts';
import { METADATA_SCHEMA } from './core-schemas.ts';
import { pruned } from './pruning.ts';
import { checkSchema, checkValue, type SchemaReport } from './structural-schema.ts';

/** How strictly fields are taken that the schema does not know (`fieldValidation` of the Kubernetes API). */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

/** An object as it is read from a body, with warnings for its sender. */
export interface Decoded {
  readonly object: KubeObject;
  readonly warnings: readonly string[];
}

/**
 * Reads an object as the API server does before anything is filled in: unknown and repeated fields are warned of or
 * refused, then dropped; every value of metadata and of the kinds of the core has its type.
 * @throws ApiError 400
 */
export function decode(
  kind: ResourceKind,
  body: KubeObject,
  { fieldValidation, duplicateFields = [] }: { fieldValidation: FieldValidation; duplicateFields?: readonly string[] },
): Decoded {
  const metadata = checkValue(body.metadata, METADATA_SCHEMA, 'metadata');
  const content = kind.schema ? checkSchema(body, kind.schema) : { unknownFields: [], faults: [] };
  const complaints = [
    ...duplicateFields.map((field) => `duplicate field "${field}"`),
    ...[...metadata.unknownFields, ...content.unknownFields].map((field) => `unknown field "${field}"`),
  ];
  if (complaints.length > 0 && fieldValidation === 'Strict') {
    throw new ApiError(400, 'BadRequest', `strict decoding error: ${complaints.join(', ')}`);
  }
  const object = withoutUnknown(kind, body);
  assertReadable(kind, object);
  return { object, warnings: fieldValidation === 'Warn' ? complaints : [] };
}

/**
 * What a custom kind holds has its types, so that it can be filled in. Fields may still be missing.
 * @throws ApiError 422
 */
export function assertCustomTypes(kind: ResourceKind, object: KubeObject): void {
  if (!kind.custom || !kind.schema) return;
  const faults = checkSchema(object, kind.schema).faults.filter(({ reason }) => reason !== 'FieldValueRequired');
  if (faults.length > 0) throw invalid(kind, object.metadata.name, faults);
}

function withoutUnknown(kind: ResourceKind, body: KubeObject): KubeObject {
  const metadata = pruned(body.metadata, METADATA_SCHEMA) as KubeObject['metadata'];
  if (!kind.schema) return { ...body, metadata };
  const { apiVersion, kind: name, metadata: _, ...content } = body;
  return { apiVersion, kind: name, metadata, ...(pruned(content, kind.schema) as JsonObject) };
}

function assertReadable(kind: ResourceKind, object: KubeObject): void {
  refuseUnreadable(
    kind,
    isJsonObject(object.metadata) ? checkValue(object.metadata, METADATA_SCHEMA, 'metadata') : undefined,
  );
  if (kind.custom || !kind.schema) return;
  const content = checkSchema(object, kind.schema);
  // A value that is none of those known can be read; missing fields may still be filled in.
  refuseUnreadable(kind, { ...content, faults: content.faults.filter(({ reason }) => reason === 'FieldValueInvalid') });
}

function refuseUnreadable({ kind, version }: ResourceKind, report: SchemaReport | undefined): void {
  const [fault] = report?.faults ?? [];
  if (!fault) return;
  throw badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${fault.message}`);
}
