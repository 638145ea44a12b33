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
import { ScaleHandler } from './subresources/scale.ts';

/** What the routes reach. */
export interface RouteOptions {
  readonly store: Store;
  readonly writes: ClientWrites;
  readonly clock: Clock;
}

/** Puts together everything that is served. */
export function createRoutes({ store, writes, clock }: RouteOptions): ApiRoutes {
  const kinds = store.kinds;
  const byPath = new Map(kinds.map((kind) => [`${kind.group}/${kind.version}/${kind.plural}`, kind]));
  const discovery = new Discovery(kinds, ACCESS_REVIEWS);
  const openApi = new OpenApi(kinds);
  const resources = new ResourceHandler(store, writes, clock);
  const scale = new ScaleHandler(store, writes);
  const kindOf = ({ group, version, resource }: ResourcePath): ResourceKind | undefined =>
    byPath.get(`${group}/${version}/${resource}`);

  async function virtual(exchange: Exchange, path: ResourcePath): Promise<boolean> {
    const kind = kindOf(path);
    if (kind?.scale && path.subresource.join('/') === 'scale') {
      await scale.handle(exchange, kind, path);
      return true;
    }
    if (path.group === 'authorization.k8s.io' && path.resource === 'selfsubjectaccessreviews') {
      if (exchange.method !== 'POST') throw methodNotAllowed();
      sendJson(exchange.response, 201, answerAccessReview(await readObject(exchange.request)));
      return true;
    }
    return false;
  }

  async function upgrade({ path }: UpgradeRequest): Promise<void> {
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
