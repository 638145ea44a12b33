import type { Clock } from '../../../common/clock/clock.ts';
import { ApiError, badRequest, notFound, unsupportedBody } from '../api-error.ts';
import type { ClientWrites, Edit, Written } from '../client-writes.ts';
import {
  apiVersionOf,
  isJsonObject,
  type JsonObject,
  type KubeObject,
  keyOf,
  type ObjectKey,
  type ResourceKind,
} from '../objects.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import { applyStrategicMergePatch } from '../patch/strategic-merge-patch.ts';
import type { Deletion, Store } from '../store.ts';
import { type Exchange, mediaType, parseBody, readBody, readObjectStrictly, sendJson } from './exchange.ts';
import { assertPosition, filterOf, isTrue, pageOf } from './list-query.ts';
import type { ResourcePath } from './resource-path.ts';
import { tableOf, wantsTable } from './table.ts';
import { streamWatch } from './watch-stream.ts';
import { deleteOptions, writeOptions } from './write-options.ts';

/** Kinds of the core whose deletion is answered with the object instead of a Status. */
const ANSWERED_WITH_OBJECT = new Set(['Pod', 'PersistentVolumeClaim', 'PersistentVolume', 'Namespace', 'Node']);

interface TableContent {
  readonly objects: readonly KubeObject[];
  readonly metadata: JsonObject;
}

/** Get, list, watch and the writes of every stored kind. */
export class ResourceHandler {
  readonly #store: Store;
  readonly #writes: ClientWrites;
  readonly #clock: Clock;

  constructor(store: Store, writes: ClientWrites, clock: Clock) {
    this.#store = store;
    this.#writes = writes;
    this.#clock = clock;
  }

  /** Answers one request for a kind; subresources other than `status` are not its business. */
  async handle(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void> {
    const { method, url } = exchange;
    if (method === 'GET') {
      if (isTrue(url.searchParams.get('watch'))) {
        await streamWatch(exchange, { store: this.#store, clock: this.#clock, kind, path });
      } else if (path.name === undefined) await this.#list(exchange, kind, path);
      else await this.#get(exchange, kind, keyOfPath(path));
      return;
    }
    if (kind.readOnly) throw methodNotAllowed();
    if (method === 'POST' && path.name === undefined) await this.#create(exchange, kind, path);
    else if (method === 'PUT' && path.name !== undefined) await this.#replace(exchange, kind, path);
    else if (method === 'PATCH' && path.name !== undefined) await this.#patch(exchange, kind, path);
    else if (method === 'DELETE' && path.name !== undefined) await this.#delete(exchange, kind, path);
    else if (method === 'DELETE') await this.#deleteCollection(exchange, kind, path);
    else throw methodNotAllowed();
  }

  async #get(exchange: Exchange, kind: ResourceKind, key: ObjectKey): Promise<void> {
    const object = this.#store.get(kind.kind, key);
    await this.#store.onDisk();
    if (!object) throw notFound(kind, key);
    const isTable = wantsTable(exchange.request.headers.accept);
    sendJson(
      exchange.response,
      200,
      isTable ? this.#table(exchange, kind, { objects: [object], metadata: {} }) : object,
    );
  }

  async #list(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void> {
    const query = exchange.url.searchParams;
    assertPosition(query, this.#store.resourceVersion);
    const matches = filterOf(query, kind, path);
    const objects = this.#store.list(kind.kind, { namespace: path.namespace }).filter(matches);
    const page = pageOf(objects, query);
    const metadata = { resourceVersion: String(this.#store.resourceVersion), ...page.metadata };
    await this.#store.onDisk();
    if (wantsTable(exchange.request.headers.accept)) {
      sendJson(exchange.response, 200, this.#table(exchange, kind, { objects: page.items, metadata }));
      return;
    }
    sendJson(exchange.response, 200, {
      kind: `${kind.kind}List`,
      apiVersion: apiVersionOf(kind),
      metadata,
      items: page.items,
    });
  }

  #table(exchange: Exchange, kind: ResourceKind, { objects, metadata }: TableContent): JsonObject {
    const includeObject = exchange.url.searchParams.get('includeObject') ?? 'Metadata';
    return tableOf(objects, metadata, { kind, now: this.#clock.now(), includeObject });
  }

  async #create(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void> {
    const { body, duplicateFields } = await readObjectStrictly(exchange.request);
    const options = { ...writeOptions(exchange, path), duplicateFields };
    sendWritten(exchange, 201, await this.#writes.create({ kind, namespace: path.namespace }, body, options));
  }

  async #replace(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void> {
    const { body, duplicateFields } = await readObjectStrictly(exchange.request);
    const edit: Edit = (current) => (kind.custom ? body : withCurrentVersion(body, current.metadata.resourceVersion));
    const options = { ...writeOptions(exchange, path), duplicateFields };
    sendWritten(exchange, 200, await this.#writes.update({ kind, key: keyOfPath(path) }, edit, options));
  }

  async #patch(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void> {
    const type = mediaType(exchange.request.headers['content-type']);
    const patch = parseBody(await readBody(exchange.request), type);
    const options = writeOptions(exchange, path);
    const key = keyOfPath(path);
    if (type === 'application/apply-patch+yaml') {
      await this.#apply(exchange, { kind, path }, patch);
      return;
    }
    sendWritten(exchange, 200, await this.#writes.update({ kind, key }, patchEdit(type, patch, kind), options));
  }

  /** Server-side apply without field owners: creates, or merges the given fields into the object. */
  async #apply(
    exchange: Exchange,
    { kind, path }: { kind: ResourceKind; path: ResourcePath },
    patch: unknown,
  ): Promise<void> {
    if (!exchange.url.searchParams.get('fieldManager'))
      throw badRequest('fieldManager: Required value: is required for apply patch');
    const options = writeOptions(exchange, path);
    const key = keyOfPath(path);
    if (this.#store.get(kind.kind, key)) {
      const merge = kind.custom ? applyMergePatch : applyStrategicMergePatch;
      sendWritten(exchange, 200, await this.#writes.update({ kind, key }, (current) => merge(current, patch), options));
    } else sendWritten(exchange, 201, await this.#writes.create({ kind, namespace: path.namespace }, patch, options));
  }

  async #delete(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void> {
    if (path.subresource.length > 0) throw methodNotAllowed();
    const deletion = await this.#writes.delete(kind, keyOfPath(path), await deleteOptions(exchange));
    sendJson(exchange.response, 200, deletionReply(kind, deletion));
  }

  async #deleteCollection(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void> {
    const options = await deleteOptions(exchange);
    const matches = filterOf(exchange.url.searchParams, kind, path);
    const objects = this.#store.list(kind.kind, { namespace: path.namespace }).filter(matches);
    const deletions = objects.map((object) => this.#writes.delete(kind, keyOf(object), options));
    const items = (await Promise.all(deletions)).map(({ object }) => object);
    const metadata = { resourceVersion: String(this.#store.resourceVersion) };
    sendJson(exchange.response, 200, { kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind), metadata, items });
  }
}

/** 405: the resource exists, the method does not apply to it. */
export function methodNotAllowed(): ApiError {
  return new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
}

/** The key that a path with a name points at. */
export function keyOfPath(path: ResourcePath): ObjectKey {
  return { namespace: path.namespace, name: path.name ?? '' };
}

function sendWritten(exchange: Exchange, code: number, { object, warnings }: Written): void {
  for (const warning of warnings) exchange.response.appendHeader('Warning', `299 - ${JSON.stringify(warning)}`);
  sendJson(exchange.response, code, object);
}

/** Core kinds may be replaced without naming the version that is replaced. */
function withCurrentVersion(body: unknown, resourceVersion: string | undefined): unknown {
  if (!isJsonObject(body) || !isJsonObject(body['metadata']) || body['metadata']['resourceVersion']) return body;
  return { ...body, metadata: { ...body['metadata'], resourceVersion } };
}

/** @throws ApiError 415 for a patch type that the kind does not take */
export function patchEdit(type: string, patch: unknown, kind: ResourceKind): Edit {
  if (type === 'application/json-patch+json') return (current) => applyJsonPatch(current, patch);
  if (type === 'application/merge-patch+json') return (current) => applyMergePatch(current, patch);
  if (type === 'application/strategic-merge-patch+json' && !kind.custom) {
    return (current) => applyStrategicMergePatch(current, patch);
  }
  const known = ['application/json-patch+json', 'application/merge-patch+json', 'application/apply-patch+yaml'];
  throw unsupportedBody(`accepted media types include: ${known.join(', ')}`);
}

function deletionReply(kind: ResourceKind, { object, removed }: Deletion): JsonObject {
  if (!removed || ANSWERED_WITH_OBJECT.has(kind.kind)) return object;
  const { name, uid } = object.metadata;
  const details = { name, group: kind.group, kind: kind.plural, uid };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
}
