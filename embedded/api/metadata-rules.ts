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
  const { name, labels = {}, annotations = {}, ownerReferences = [] } = object.metadata;
  const { finalizers = [] } = object.metadata;
  const causes: StatusCause[] = [];
  const refuse = (field: string, value: string, rule: string) =>
    causes.push({ field, reason: 'FieldValueInvalid', message: `Invalid value: ${JSON.stringify(value)}: ${rule}` });
  if (!previous) {
    const isLabel = LABEL_NAMED.has(kind.kind);
    const limit = isLabel ? 63 : 253;
    if (!(isLabel ? DNS_LABEL : DNS_SUBDOMAIN).test(name))
      refuse('metadata.name', name, isLabel ? LABEL_RULE : SUBDOMAIN_RULE);
    else if (name.length > limit) refuse('metadata.name', name, `must be no more than ${limit} characters`);
  }
  for (const [key, value] of Object.entries(labels)) {
    if (!QUALIFIED_NAME.test(key)) refuse('metadata.labels', key, NAME_RULE);
    if (!LABEL_VALUE.test(value)) {
      refuse('metadata.labels', value, 'a valid label must be 63 characters or less and alphanumeric');
    }
  }
  let annotationBytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    // Unlike those of labels, keys of annotations may have capitals in their prefix.
    if (!QUALIFIED_NAME.test(key.toLowerCase())) refuse('metadata.annotations', key, NAME_RULE);
    annotationBytes += key.length + Buffer.byteLength(value);
  }
  if (annotationBytes > ANNOTATIONS_LIMIT) {
    causes.push({
      field: 'metadata.annotations',
      reason: 'FieldValueInvalid',
      message: 'Too long: may not be more than 262144 bytes',
    });
  }
  for (const finalizer of finalizers) {
    if (!QUALIFIED_NAME.test(finalizer)) refuse('metadata.finalizers', finalizer, NAME_RULE);
    else if (!kind.custom && !finalizer.includes('/') && !STANDARD_FINALIZERS.has(finalizer)) {
      refuse('metadata.finalizers', finalizer, 'name is neither a standard finalizer name nor is it fully qualified');
    }
  }
  const added = previous?.metadata.deletionTimestamp === undefined ? [] : addedTo(previous, finalizers);
  if (added.length > 0) {
    const found = `[]string{${added.map((finalizer) => JSON.stringify(finalizer)).join(', ')}}`;
    causes.push({
      field: 'metadata.finalizers',
      reason: 'FieldValueForbidden',
      message: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${found}`,
    });
  }
  for (const [index, owner] of ownerReferences.entries()) {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (!owner[field]) refuse(`metadata.ownerReferences[${index}].${field}`, '', 'must not be empty');
    }
  }
  if (causes.length > 0) throw invalid(kind, name, causes);
}

function addedTo(previous: KubeObject, finalizers: readonly string[]): string[] {
  return finalizers.filter((finalizer) => !previous.metadata.finalizers?.includes(finalizer));
}
