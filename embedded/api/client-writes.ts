import { randomUUID } from 'node:crypto';
import type { Clock } from '../../common/clock/clock.ts';
import type { AdmissionRequest, KindAdmission } from './admission/admission.ts';
import { alreadyExists, badRequest, conflict, invalid, notFound } from './api-error.ts';
import { assertValidMetadata } from './metadata-rules.ts';
import { withGeneratedName } from './names.ts';
import { staleWrite, systemFieldsOf } from './object-rules.ts';
import {
  apiVersionOf,
  isJsonObject,
  type KubeObject,
  keyOf,
  type ObjectKey,
  type ResourceKind,
  timestamp,
} from './objects.ts';
import { assertCustomTypes, decode, type FieldValidation } from './schema/decoding.ts';
import { withSchemaDefaults } from './schema/defaults.ts';
import { checkSchema } from './schema/structural-schema.ts';
import type { DeleteOptions, Deletion, Store } from './store.ts';

/** Options of a client for any write. */
export interface WriteOptions {
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
  /** Fields that stand twice in the body. */
  readonly duplicateFields?: readonly string[];
  /** `status` when only the status is to be written. */
  readonly subresource?: string | undefined;
}

/** A stored (or, on a dry run, would-be) object and the warnings that go with it. */
export interface Written {
  readonly object: KubeObject;
  readonly warnings: readonly string[];
}

/** Where objects of a kind are created. */
export interface Collection {
  readonly kind: ResourceKind;
  readonly namespace?: string | undefined;
}

/** One object of a kind. */
export interface Place {
  readonly kind: ResourceKind;
  readonly key: ObjectKey;
}

/** Where an edited object comes from: computes the new content from the stored one. */
export type Edit = (current: KubeObject) => unknown;

/**
 * Writes on behalf of clients: type and name checks, defaults, admission, schema, then the store. Everything up to
 * the store is synchronous, so the checked object is the stored one.
 */
export class ClientWrites {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #admission: Readonly<Record<string, KindAdmission>>;

  constructor(store: Store, clock: Clock, admission: Readonly<Record<string, KindAdmission>>) {
    this.#store = store;
    this.#clock = clock;
    this.#admission = admission;
  }

  /** @throws ApiError 400, 403, 404, 409 or 422 as the API server would; 507 when the disk is full */
  async create({ kind, namespace }: Collection, body: unknown, options: WriteOptions): Promise<Written> {
    this.#store.assertRoom();
    const object = asObject(kind, body);
    placeInNamespace(object, kind, namespace);
    if (object.metadata.resourceVersion) {
      throw badRequest('resourceVersion should not be set on objects to be created');
    }
    object.metadata = withGeneratedName(object.metadata);
    delete object.metadata['managedFields'];
    delete object.metadata.uid;
    if (kind.statusSubresource) delete object.status;
    const { result, warnings } = this.#admit({ operation: 'CREATE', kind, previous: undefined }, object, options);
    if (!options.dryRun) return { object: await this.#store.create(result), warnings };
    if (this.#store.get(kind.kind, keyOf(result))) throw alreadyExists(kind, keyOf(result));
    const creationTimestamp = timestamp(this.#clock.now());
    result.metadata = { ...result.metadata, uid: randomUUID(), creationTimestamp, generation: 1 };
    return { object: result, warnings };
  }

  /** Replaces or patches: `edit` makes the new content of the stored object. */
  async update({ kind, key }: Place, edit: Edit, options: WriteOptions): Promise<Written> {
    const previous = this.#store.get(kind.kind, key);
    if (!previous) throw notFound(kind, key);
    const body = asObject(kind, edit(structuredClone(previous)));
    body.metadata.name ||= key.name;
    if (body.metadata.name !== key.name) {
      throw badRequest(
        `the name of the object (${body.metadata.name}) does not match the name on the URL (${key.name})`,
      );
    }
    placeInNamespace(body, kind, key.namespace);
    delete body.metadata['managedFields'];
    const next = onlyWritable(kind, previous, { body, subresource: options.subresource });
    const { result, warnings } = this.#admit({ operation: 'UPDATE', kind, previous }, next, options);
    if (!options.dryRun) return { object: await this.#store.update(result), warnings };
    return { object: { ...result, metadata: systemFieldsOf(previous, result) }, warnings };
  }

  /** @throws ApiError 404, 409 or what admission refuses */
  async delete(kind: ResourceKind, key: ObjectKey, options: DeleteOptions & { dryRun: boolean }): Promise<Deletion> {
    const object = this.#store.get(kind.kind, key);
    if (!object) throw notFound(kind, key);
    const { dryRun, ...deletion } = options;
    const request: AdmissionRequest = {
      operation: 'DELETE',
      kind,
      object,
      previous: object,
      subresource: undefined,
      store: this.#store,
      clock: this.#clock,
    };
    this.#admission[kind.kind]?.validate?.(request);
    return dryRun ? { object, removed: true } : await this.#store.delete(kind.kind, key, deletion);
  }

  #admit(
    request: Pick<AdmissionRequest, 'operation' | 'kind' | 'previous'>,
    draft: KubeObject,
    { subresource, ...options }: WriteOptions,
  ): { result: KubeObject; warnings: readonly string[] } {
    const { kind, previous } = request;
    const { object: decoded, warnings } = decode(kind, draft, options);
    if (previous) assertCurrent(kind, decoded, previous);
    assertCustomTypes(kind, decoded);
    const object = (kind.custom && kind.schema ? withSchemaDefaults(decoded, kind.schema) : decoded) as KubeObject;
    const admission = this.#admission[kind.kind];
    const full: AdmissionRequest = { ...request, object, subresource, store: this.#store, clock: this.#clock };
    admission?.mutate?.(full);
    assertValidMetadata(kind, object, previous);
    if (kind.schema) {
      const { faults } = checkSchema(object, kind.schema);
      if (faults.length > 0) throw invalid(kind, object.metadata.name, faults);
    }
    admission?.validate?.(full);
    object.metadata = withoutEmpty(object.metadata);
    return { result: object, warnings };
  }
}

/** Kubernetes looks at the version before it validates: a stale write may break rules that its author has not seen. */
function assertCurrent(kind: ResourceKind, object: KubeObject, previous: KubeObject): void {
  if (kind.custom && object.metadata.resourceVersion === undefined) {
    const message = 'Invalid value: 0x0: must be specified for an update';
    throw invalid(kind, object.metadata.name, [
      { field: 'metadata.resourceVersion', reason: 'FieldValueInvalid', message },
    ]);
  }
  const why = staleWrite(object, previous);
  if (why) throw conflict(kind, keyOf(object), why);
}

/** Takes a body as an object of the kind. Kinds of the core are known by the path; custom ones must name their kind. */
function asObject(kind: ResourceKind, body: unknown): KubeObject {
  if (!isJsonObject(body)) throw badRequest('the object provided is unrecognized (must be of type object)');
  const apiVersion = apiVersionOf(kind);
  for (const [field, name] of [
    ['kind', 'Kind'],
    ['apiVersion', 'apiVersion'],
  ] as const) {
    if (kind.custom && !body[field]) throw badRequest(`Object '${name}' is missing in '${JSON.stringify(body)}'`);
  }
  const given = { apiVersion: body['apiVersion'] || apiVersion, kind: body['kind'] || kind.kind };
  if (given.apiVersion !== apiVersion || given.kind !== kind.kind) {
    const what = `the object provided (${String(given.apiVersion)}, Kind=${String(given.kind)})`;
    const message = `${what} is not of the type of the URL (${apiVersion}, Kind=${kind.kind})`;
    const isReadable = kind.custom && typeof given.kind === 'string' && given.apiVersion === apiVersion;
    if (!isReadable) throw badRequest(message);
    throw invalid(kind, '', [{ field: 'kind', reason: 'FieldValueInvalid', message }]);
  }
  const metadata = body['metadata'] ?? {};
  if (!isJsonObject(metadata)) throw badRequest(`${kind.kind} cannot be read: metadata must be an object`);
  const present = Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null));
  return { ...body, apiVersion, kind: kind.kind, metadata: present } as KubeObject;
}

/** Empty maps and lists are not kept in metadata: Kubernetes' own type leaves them out, for custom kinds too. */
function withoutEmpty(metadata: KubeObject['metadata']): KubeObject['metadata'] {
  const isEmpty = (value: unknown) => typeof value === 'object' && Object.keys(value ?? {}).length === 0;
  return Object.fromEntries(
    Object.entries(metadata).filter(([, value]) => !isEmpty(value)),
  ) as unknown as KubeObject['metadata'];
}

function placeInNamespace(object: KubeObject, kind: ResourceKind, namespace: string | undefined): void {
  if (!kind.namespaced) {
    delete object.metadata.namespace;
    return;
  }
  if (namespace === undefined) throw badRequest('an empty namespace may not be set during creation');
  if ((object.metadata.namespace || namespace) !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  object.metadata.namespace = namespace;
}

/** Status writes leave everything but the status (and labels and annotations) alone; other writes leave the status. */
function onlyWritable(
  kind: ResourceKind,
  previous: KubeObject,
  { body, subresource }: { body: KubeObject; subresource: string | undefined },
): KubeObject {
  if (subresource === 'status') {
    const { resourceVersion } = body.metadata;
    const metadata = { ...previous.metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
    const { status: _, ...rest } = structuredClone(previous);
    return { ...rest, metadata, ...(body.status === undefined ? {} : { status: body.status }) };
  }
  if (!kind.statusSubresource) return body;
  const { status: _, ...rest } = body;
  return { ...rest, ...(previous.status === undefined ? {} : { status: structuredClone(previous.status) }) };
}
