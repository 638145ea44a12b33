import { type Request, type RequestHandler, type Response, Router } from 'express';
import { z } from 'zod';
import { type NamedOperation, OPERATION_LIST } from '../../common/contracts/api/operations.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { Principal } from '../../common/redis/tokens.ts';
import { principalOf } from './authentication.ts';
import { assertMay, beginAuditOf } from './guard.ts';
import type { Handlers } from './handler.ts';
import type { HttpLimits } from './limits.ts';
import { noSuchRoute } from './problems.ts';
import { readBody } from './request-body.ts';

const NOTHING = z.object({});
const NO_QUERY = z.strictObject({});

/** Dependencies of the operations. */
export interface ServeOptions {
  readonly handlers: Handlers;
  readonly logger: Logger;
  readonly limits: Pick<HttpLimits, 'body'>;
}

/** Serves the operations that need no token. */
export function serveOpenOperations(options: ServeOptions): Router {
  const router = Router();
  for (const operation of OPERATION_LIST.filter(({ role }) => role === null)) {
    router[operation.method](pattern(operation.path), (request, response) => {
      return serve(operation, options, { request, response, who: { name: '', role: 'viewer' } });
    });
  }
  return router;
}

/** Serves the operations of the table to their roles, and refuses all other requests. Behind `authenticate`. */
export function serveOperations(options: ServeOptions): Router {
  const router = Router();
  for (const operation of OPERATION_LIST) {
    router[operation.method](pattern(operation.path), async (request, response) => {
      const who = principalOf(request);
      beginAuditOf(operation, options.logger, { request, response });
      assertMay(operation, who);
      await serve(operation, options, { request, response, who });
    });
  }
  for (const path of new Set(OPERATION_LIST.map((operation) => operation.path))) {
    router.all(pattern(path), refuseMethod(OPERATION_LIST.filter((operation) => operation.path === path)));
  }
  router.use(noSuchRoute);
  return router;
}

interface Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly who: Principal;
}

/** A handler as it is called: the table guarantees the types of its input. */
type Serve = (call: object) => Promise<{ readonly status: number; readonly body: unknown } | undefined>;

/** Reads a request by the schemas of its operation, each part once, and sends the answer of its handler. */
async function serve(operation: NamedOperation, { handlers, limits }: ServeOptions, exchange: Exchange): Promise<void> {
  const { id, params = NOTHING, query = NO_QUERY, headers = NOTHING, answers } = operation;
  const { request, response } = exchange;
  const parsed = {
    params: params.parse(request.params),
    query: query.parse(request.query),
    headers: headers.parse(request.headers),
    body: await readBody(operation, limits, exchange),
  };
  const reply = await (handlers[id] as unknown as Serve)({ ...exchange, ...parsed });
  if (reply === undefined) {
    if (204 in answers) response.status(204).end();
    return;
  }
  const { status, body } = reply;
  response.status(status).type('json');
  response.send(body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body));
}

/** As Express writes parameters. */
function pattern(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** Answers 405 with the methods of the path (RFC 9110, section 15.5.6); Express answers HEAD as GET. */
function refuseMethod(operations: readonly NamedOperation[]): RequestHandler {
  const methods = operations.map(({ method }) => method.toUpperCase());
  const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].sort().join(', ');
  return (request, response) => {
    response.set('allow', allowed);
    throw new FarmError('MethodNotAllowed', `${request.path} does not take ${request.method}, only ${allowed}.`);
  };
}
