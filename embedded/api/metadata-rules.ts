import { invalid, type StatusCause } from './api-error.ts';
import type { KubeObject, ResourceKind } from './objects.ts';

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/;
const SUBDOMAIN_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const LABEL_RULE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const NAME_RULE = 'name part must consist of alphanumeric characters';
/** Finalizers of Kubernetes itself; those of others carry a domain. */
const STANDARD_FINALIZERS = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);
/** All annotations of an object together, in bytes. */
const ANNOTATIONS_LIMIT = 256 * 1024;

/** Kinds whose names must be labels: no dots, 63 characters. */
const LABEL_NAMED = new Set(['Namespace']);

/** Checks names, labels, annotations and finalizers as apimachinery does. @throws ApiError 422 */
export function assertValidMetadata(kind: ResourceKind, object: KubeObject, previous: KubeObject | undefined): void {
  const { metadata } = object;
  const causes = [
    ...(previous ? [] : nameCauses(kind, metadata.name)),
    ...labelCauses(metadata.labels ?? {}),
    ...annotationCauses(metadata.annotations ?? {}),
    ...finalizerCauses(kind, metadata.finalizers ?? [], previous),
    ...ownerCauses(metadata.ownerReferences ?? []),
  ];
  if (causes.length > 0) throw invalid(kind, metadata.name, causes);
}

function refused(field: string, value: string, rule: string): StatusCause {
  return { field, reason: 'FieldValueInvalid', message: `Invalid value: ${JSON.stringify(value)}: ${rule}` };
}

function nameCauses(kind: ResourceKind, name: string): StatusCause[] {
  const isLabel = LABEL_NAMED.has(kind.kind);
  const limit = isLabel ? 63 : 253;
  if (!(isLabel ? DNS_LABEL : DNS_SUBDOMAIN).test(name)) {
    return [refused('metadata.name', name, isLabel ? LABEL_RULE : SUBDOMAIN_RULE)];
  }
  return name.length > limit ? [refused('metadata.name', name, `must be no more than ${limit} characters`)] : [];
}

function labelCauses(labels: Readonly<Record<string, string>>): StatusCause[] {
  const rule = 'a valid label must be 63 characters or less and alphanumeric';
  return Object.entries(labels).flatMap(([key, value]) => [
    ...(QUALIFIED_NAME.test(key) ? [] : [refused('metadata.labels', key, NAME_RULE)]),
    ...(LABEL_VALUE.test(value) ? [] : [refused('metadata.labels', value, rule)]),
  ]);
}

function annotationCauses(annotations: Readonly<Record<string, string>>): StatusCause[] {
  const entries = Object.entries(annotations);
  const causes = entries
    // Unlike those of labels, keys of annotations may have capitals in their prefix.
    .filter(([key]) => !QUALIFIED_NAME.test(key.toLowerCase()))
    .map(([key]) => refused('metadata.annotations', key, NAME_RULE));
  const bytes = entries.reduce((sum, [key, value]) => sum + key.length + Buffer.byteLength(value), 0);
  if (bytes <= ANNOTATIONS_LIMIT) return causes;
  const message = 'Too long: may not be more than 262144 bytes';
  return [...causes, { field: 'metadata.annotations', reason: 'FieldValueInvalid', message }];
}

function finalizerCauses(
  kind: ResourceKind,
  finalizers: readonly string[],
  previous: KubeObject | undefined,
): StatusCause[] {
  const field = 'metadata.finalizers';
  const causes = finalizers.flatMap((finalizer) => {
    if (!QUALIFIED_NAME.test(finalizer)) return [refused(field, finalizer, NAME_RULE)];
    if (kind.custom || finalizer.includes('/') || STANDARD_FINALIZERS.has(finalizer)) return [];
    return [refused(field, finalizer, 'name is neither a standard finalizer name nor is it fully qualified')];
  });
  const added = previous?.metadata.deletionTimestamp === undefined ? [] : addedTo(previous, finalizers);
  if (added.length === 0) return causes;
  const found = `[]string{${added.map((finalizer) => JSON.stringify(finalizer)).join(', ')}}`;
  const message = `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${found}`;
  return [...causes, { field, reason: 'FieldValueForbidden', message }];
}

function ownerCauses(owners: NonNullable<KubeObject['metadata']['ownerReferences']>): StatusCause[] {
  const fields = ['apiVersion', 'kind', 'name', 'uid'] as const;
  return owners.flatMap((owner, index) =>
    fields
      .filter((field) => !owner[field])
      .map((field) => refused(`metadata.ownerReferences[${index}].${field}`, '', 'must not be empty')),
  );
}

function addedTo(previous: KubeObject, finalizers: readonly string[]): string[] {
  return finalizers.filter((finalizer) => !previous.metadata.finalizers?.includes(finalizer));
}
