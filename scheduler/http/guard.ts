import type { Request, Response } from 'express';
import type { NamedOperation } from '../../common/contracts/api/operations.ts';
import { includesRole } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { Principal } from '../../common/redis/tokens.ts';
import { beginAudit } from './audit.ts';
import { principalOf } from './authentication.ts';

/** Begins the line of the audit log where an operation changes something. */
export function beginAuditOf(
  { id: what, isAudited = false }: NamedOperation,
  logger: Logger,
  { request, response }: { readonly request: Request; readonly response: Response },
): void {
  const { id } = request.params;
  const build = typeof id === 'string' ? id : undefined;
  if (isAudited) beginAudit(logger, response, { who: principalOf(request), what, build });
}

/** @throws Forbidden when an operation needs another role */
export function assertMay({ id, role }: NamedOperation, who: Principal): void {
  if (role === null || includesRole(who.role, role)) return;
  throw new FarmError(
    'Forbidden',
    `The token "${who.name}" has the role ${who.role}, but ${id} needs the role ${role}.`,
  );
}
