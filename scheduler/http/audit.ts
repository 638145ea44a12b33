import type { Response } from 'express';
import type { Logger } from '../../common/logging/logger.ts';
import type { Principal } from '../../common/redis/tokens.ts';

/** A change that a client attempts. */
export interface AuditedAttempt {
  readonly who: Principal;
  /** Id of the operation, e.g. `cancelBuild`. */
  readonly what: string;
  readonly build?: string | undefined;
}

/** How an attempt ended; `outcome` is a word, or the code of an error. */
export interface AuditedEnd {
  readonly outcome: string;
  readonly build?: string;
  /** Names of the modules that were submitted. */
  readonly modules?: readonly string[];
  /** Name of the secret that was set or removed, or of the token that was made or revoked, and that one's role. */
  readonly subject?: string;
  readonly subjectRole?: string;
}

const attempts = new WeakMap<Response, (end: AuditedEnd) => void>();

/** Begins the audit of a request; its line is written by `audit`. */
export function beginAudit(logger: Logger, response: Response, { who, what, build }: AuditedAttempt): void {
  // Audit lines are written at every log level.
  const trail = logger.child({ audit: true }, { level: 'info' });
  const attempt = { who: who.name, role: who.role, what, ...(build === undefined ? {} : { build }) };
  attempts.set(response, (end) => trail.info({ ...attempt, ...end }, 'A change was requested'));
}

/** Records how an attempt ended. Only the first end counts, and only of requests that are audited. */
export function audit(response: Response, end: AuditedEnd): void {
  const report = attempts.get(response);
  attempts.delete(response);
  report?.(end);
}
