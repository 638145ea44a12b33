/** A JSON object whose fields must be looked at before they are used. */
export type JsonObject = { [field: string]: unknown };

/** Names the object that owns another one; the end of the owner ends the owned object. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** `metadata` of every object. Fields that the server writes are absent before the object is created. */
export interface ObjectMeta {
  name: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  /** Opaque to clients; here the value of the one counter of the store, as a decimal string. */
  resourceVersion?: string;
  generation?: number;
  /** RFC 3339 with seconds, UTC. */
  creationTimestamp?: string;
  /** Set when deletion has begun and finalizers still hold the object. */
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: { [name: string]: string };
  annotations?: { [name: string]: string };
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  [field: string]: unknown;
}

/** Any Kubernetes object. The kind's schema decides what `spec` and `status` are; readers narrow the fields that they use. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: JsonObject;
  status?: JsonObject;
  [field: string]: unknown;
}

/** Where an object is within its kind; cluster-scoped kinds have no namespace. */
export interface ObjectKey {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** A column of `kubectl get`, as in a CustomResourceDefinition. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly format?: string;
  /** Columns with a priority above 0 show only in wide output. */
  readonly priority?: number;
}

/** One served kind. Kind names are unique over all groups here, so `kind` alone names it within the process. */
export interface ResourceKind {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** Whether `/status` is separate: then writes to the object leave the status alone and the other way round. */
  readonly statusSubresource: boolean;
  /** Served by a CustomResourceDefinition on a real cluster; decides details such as patch types and delete answers. */
  readonly custom: boolean;
  /** Structural schema (OpenAPI v3); absent for kinds whose content is not checked. */
  readonly schema?: JsonObject;
  readonly printerColumns: readonly PrinterColumn[];
  /** Refuses writes by clients. */
  readonly readOnly?: boolean;
}

/** `group/version`, or only the version for the core group. */
export function apiVersionOf(kind: Pick<ResourceKind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** The key of an object. */
export function keyOf(object: KubeObject): ObjectKey {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? { name } : { namespace, name };
}

/** Narrows to a JSON object (not null, not an array). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads a nested field by its path; undefined as soon as a step is missing. Array steps are indices. */
export function fieldAt(value: unknown, ...path: readonly (string | number)[]): unknown {
  let current = value;
  for (const step of path) {
    if (Array.isArray(current) && typeof step === 'number') current = current[step];
    else if (isJsonObject(current)) current = current[step];
    else return undefined;
  }
  return current;
}

/** An instant as Kubernetes writes it: RFC 3339, UTC, whole seconds. */
export function timestamp(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}
