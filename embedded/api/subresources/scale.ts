import { ApiError, badRequest, notFound } from '../api-error.ts';
import type { ClientWrites } from '../client-writes.ts';
import { type Exchange, mediaType, parseBody, readBody, sendJson } from '../http/exchange.ts';
import { readJsonPath } from '../http/json-path.ts';
import { keyOfPath, methodNotAllowed, patchEdit } from '../http/resource-handler.ts';
import type { ResourcePath } from '../http/resource-path.ts';
import { writeOptions } from '../http/write-options.ts';
import { fieldAt, isJsonObject, type JsonObject, type KubeObject, type ResourceKind } from '../objects.ts';
import type { Store } from '../store.ts';

/** Reads and writes the replica count of a kind with a scale subresource, as an autoscaling/v1 Scale. */
export class ScaleHandler {
  readonly #store: Store;
  readonly #writes: ClientWrites;

  constructor(store: Store, writes: ClientWrites) {
    this.#store = store;
    this.#writes = writes;
  }

  async handle(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void> {
    const key = keyOfPath(path);
    const object = this.#store.get(kind.kind, key);
    if (!object) throw notFound(kind, key);
    if (exchange.method === 'GET') {
      sendJson(exchange.response, 200, scaleOf(object, kind));
      return;
    }
    const type = mediaType(exchange.request.headers['content-type']);
    const body = parseBody(await readBody(exchange.request), type);
    const options = { ...writeOptions(exchange, path), subresource: undefined };
    const written = await this.#writes.update(
      { kind, key },
      (current) => withReplicas(current, requestedScale(exchange.method, { type, body }, { current, kind }), kind),
      options,
    );
    sendJson(exchange.response, 200, scaleOf(written.object, kind));
  }
}

function requestedScale(
  method: string,
  { type, body }: { type: string; body: unknown },
  { current, kind }: { current: KubeObject; kind: ResourceKind },
): unknown {
  if (method === 'PUT') return body;
  if (method === 'PATCH') return patchEdit(type, body, kind)(scaleOf(current, kind) as KubeObject);
  throw methodNotAllowed();
}

function scaleOf(object: KubeObject, kind: ResourceKind): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const requested = readJsonPath(object, kind.scale?.specReplicasPath ?? '');
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    // A count of 0 is left out.
    spec: requested ? { replicas: requested } : {},
    status: { replicas: readJsonPath(object, kind.scale?.statusReplicasPath ?? '') ?? 0 },
  };
}

function withReplicas(current: KubeObject, scale: unknown, kind: ResourceKind): KubeObject {
  const replicas = fieldAt(scale, 'spec', 'replicas') ?? 0;
  if (!Number.isInteger(replicas)) throw badRequest('spec.replicas of a Scale must be an integer');
  const resourceVersion = fieldAt(scale, 'metadata', 'resourceVersion');
  const [root = '', field = ''] = (kind.scale?.specReplicasPath ?? '').split('.').slice(1);
  const part = current[root];
  if (!isJsonObject(part)) throw new ApiError(500, 'InternalError', `the object has no "${root}" to scale`);
  const metadata = { ...current.metadata, ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}) };
  return { ...current, metadata, [root]: { ...part, [field]: replicas } };
}
