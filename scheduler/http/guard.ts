import { Router } from 'express';
import { z } from 'zod';
import { includesRole } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { beginAudit } from './audit.ts';
import { principalOf } from './authentication.ts';
import { OPERATIONS, type Operation } from './operations.ts';
import { notFound } from './problems.ts';

const NO_QUERY = z.strictObject({});

/** Lets through what the table of operations has, for whom it has it; nothing else is served behind it. */
export function guardOperations(logger: Logger): Router {
  const router = Router();
  for (const operation of OPERATIONS) {
    router[operation.method](operation.path.replaceAll(/\{(\w+)\}/g, ':$1'), (request, response, next) => {
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
  router.use(notFound);
  return router;
}

function refuseOthers({ id, role }: Operation, who: ReturnType<typeof principalOf>): void {
  if (role === null || includesRole(who.role, role)) return;
  throw new FarmError('Forbidden', `The token "${who.name}" is of a ${who.role}: ${id} needs the role ${role}.`);
}
