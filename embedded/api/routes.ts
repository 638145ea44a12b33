import type { Clock } from '../../common/clock/clock.ts';
import { ApiError } from './api-error.ts';
import type { ClientWrites } from './client-writes.ts';
import type { ApiRoutes, UpgradeRequest } from './http/api-server.ts';
import { Discovery } from './http/discovery.ts';
import { type Exchange, readObject, sendJson } from './http/exchange.ts';
import { OpenApi } from './http/openapi.ts';
import { methodNotAllowed, ResourceHandler } from './http/resource-handler.ts';
import type { ResourcePath } from './http/resource-path.ts';
import type { ResourceKind } from './objects.ts';
import type { Store } from './store.ts';
import { ACCESS_REVIEWS, answerAccessReview } from './subresources/access-review.ts';
import { evictPod } from './subresources/eviction.ts';
import { KUBEVIRT_SUBRESOURCES, KubeVirtHandler, SUBRESOURCES_GROUP } from './subresources/kubevirt-handler.ts';
import type { MachineAccess } from './subresources/machine-access.ts';
import { POD_SUBRESOURCES, PodHandler } from './subresources/pod-handler.ts';

/** Dependencies of the routes. */
export interface RouteOptions {
  readonly store: Store;
  readonly writes: ClientWrites;
  readonly clock: Clock;
  /** Undefined when the cluster runs no machines. */
  readonly access: MachineAccess | undefined;
}

/** Puts together everything that is served. */
export function createRoutes({ store, writes, clock, access }: RouteOptions): ApiRoutes {
  const kinds = store.kinds;
  const byPath = new Map(kinds.map((kind) => [`${kind.group}/${kind.version}/${kind.plural}`, kind]));
  const discovery = new Discovery(kinds, [...ACCESS_REVIEWS, ...POD_SUBRESOURCES, ...KUBEVIRT_SUBRESOURCES]);
  const openApi = new OpenApi(kinds);
  const resources = new ResourceHandler(store, writes, clock);
  const pods = new PodHandler(store, access);
  const kubeVirt = new KubeVirtHandler({ store, access, clock });
  const kindOf = ({ group, version, resource }: ResourcePath): ResourceKind | undefined =>
    byPath.get(`${group}/${version}/${resource}`);

  const podSubresource = (path: ResourcePath) =>
    kindOf(path)?.kind === 'Pod' ? path.subresource.join('/') : undefined;

  async function virtual(exchange: Exchange, path: ResourcePath): Promise<boolean> {
    const ofPod = podSubresource(path);
    if (ofPod === 'log' && exchange.method === 'GET') {
      await pods.log(exchange, path);
      return true;
    }
    if (ofPod === 'eviction') {
      await evictPod(exchange, path, { store, clock });
      return true;
    }
    if (path.group === SUBRESOURCES_GROUP) return await kubeVirt.handle(exchange, path);
    return await reviewAccess(exchange, path);
  }

  async function upgrade(request: UpgradeRequest): Promise<void> {
    const { path } = request;
    if (path.group === SUBRESOURCES_GROUP) return await kubeVirt.upgrade(request);
    if (podSubresource(path) === 'portforward') return await pods.portForward(request);
    throw new ApiError(404, 'NotFound', `"${path.resource}" cannot be upgraded to a stream`);
  }

  return {
    document: (pathname) => discovery.document(pathname) ?? openApi.document(pathname),
    kindOf,
    resource: (exchange, kind, path) => resources.handle(exchange, kind, path),
    virtual,
    upgrade,
  };
}

/** False: the request is not for an access review. */
async function reviewAccess(
  { method, request, response }: Exchange,
  { group, resource }: ResourcePath,
): Promise<boolean> {
  if (group !== 'authorization.k8s.io' || resource !== 'selfsubjectaccessreviews') return false;
  if (method !== 'POST') throw methodNotAllowed();
  sendJson(response, 201, answerAccessReview(await readObject(request)));
  return true;
}
