import { type RequestHandler, Router } from 'express';
import { z } from 'zod';
import type { NamedOperation } from '../../common/contracts/api/operation.ts';
import { OPERATION_LIST } from '../../common/contracts/api/operations.ts';
import { includesRole } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { beginAudit } from './audit.ts';
import { principalOf } from './authentication.ts';
import { notFound } from './problems.ts';

const NO_QUERY = z.strictObject({});

/** Lets through what the table of operations has, for whom it has it; nothing else is served behind it. */
export function guardOperations(logger: Logger): Router {
  const router = Router();
  for (const operation of OPERATION_LIST) {
    router[operation.method](pattern(operation.path), (request, response, next) => {
      const who = principalOf(request);
      const { id } = request.params;
      if (operation.isAudited) {
        beginAudit(logger, response, { who, what: operation.id, build: typeof id === 'string' ? id : undefined });
      }
      refuseOthers(operation, who);
      (operation.query ?? NO_QUERY).parse(request.query);
      next('router');
    });
  }
  for (const path of new Set(OPERATION_LIST.map((operation) => operation.path))) {
    router.all(pattern(path), refuseMethod(OPERATION_LIST.filter((operation) => operation.path === path)));
  }
  router.use(notFound);
  return router;
}

/** As Express writes parameters. */
function pattern(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** Answers 405 with what the path does take (RFC 9110, section 15.5.6); Express answers HEAD as GET. */
function refuseMethod(operations: readonly NamedOperation[]): RequestHandler {
  const methods = operations.map(({ method }) => method.toUpperCase());
  const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].sort().join(', ');
  return (request, response) => {
    response.set('allow', allowed);
    throw new FarmError('MethodNotAllowed', `${request.path} does not take ${request.method}, only ${allowed}.`);
  };
}

function refuseOthers({ id, role }: NamedOperation, who: ReturnType<typeof principalOf>): void {
  if (role === null || includesRole(who.role, role)) return;
  throw new FarmError('Forbidden', `The token "${who.name}" is of a ${who.role}: ${id} needs the role ${role}.`);
}
