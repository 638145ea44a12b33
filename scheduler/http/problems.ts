import type { ErrorRequestHandler, RequestHandler } from 'express';
import { z } from 'zod';
import { type ProblemDetails, problemSchema } from '../../common/contracts/problems.ts';
import { KIND_POLICY } from '../../common/errors/error-kinds.ts';
import { ERRORS } from '../../common/errors/error-table.ts';
import { errorMessage, FarmError, solveOf } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { issueLines } from '../../common/text/issue-lines.ts';
import { audit } from './audit.ts';

/** Default `Retry-After` in seconds for full resources. */
const RETRY_AFTER_S = 5;

/** Errors of Express and its body parsers. */
const requestErrorSchema = z.object({ status: z.int().min(400).max(499), message: z.string() });

/** Answers requests that no route has answered. */
export const noSuchRoute: RequestHandler = (request) => {
  const solve = 'The page /api of the farm shows all operations.';
  throw new FarmError('NotFound', `The API has no ${request.method} ${request.path}.`, { details: { solve } });
};

/** Turns an error of a handler into problem details (RFC 9457), by the error table. */
export function answerProblems(logger: Logger): ErrorRequestHandler {
  return (error, request, response, next) => {
    const { status, farmError } = classify(error);
    const level = KIND_POLICY[farmError.kind].logLevel;
    logger[level](
      { err: level === 'error' ? error : undefined, code: farmError.code, path: request.path },
      'A request was refused',
    );
    audit(response, { outcome: farmError.code });
    // The answer has begun: all that is left is to cut it.
    if (response.headersSent) return next(error);
    if (status === 429 && !response.hasHeader('retry-after')) response.set('retry-after', String(RETRY_AFTER_S));
    response
      .status(status)
      .type('application/problem+json')
      .send(JSON.stringify(problemDetails(farmError, status)));
  };
}

function classify(error: unknown): { status: number; farmError: FarmError } {
  if (error instanceof FarmError) return { status: ERRORS[error.code].http, farmError: error };
  const refused = requestErrorSchema.safeParse(error);
  if (refused.success) {
    const code = refused.data.status === ERRORS.RequestTooLarge.http ? 'RequestTooLarge' : 'InvalidRequest';
    const farmError = new FarmError(code, refused.data.message, { cause: error });
    return { status: refused.data.status, farmError };
  }
  if (error instanceof z.ZodError) {
    return { status: 400, farmError: new FarmError('InvalidRequest', issueLines(error).join('\n'), { cause: error }) };
  }
  const farmError = new FarmError('BrokenInvariant', errorMessage(error), { cause: error });
  return { status: ERRORS.BrokenInvariant.http, farmError };
}

function problemDetails(error: FarmError, status: number): ProblemDetails {
  const { code, kind, message, details } = error;
  const problems = z.array(problemSchema).safeParse(details['problems']);
  const missing = z.array(z.string()).safeParse(details['missing']);
  return {
    type: `urn:slipway:error:${code}`,
    title: code,
    status,
    // The message of an internal error may contain private data; the log has it.
    detail: kind === 'internal' ? 'The farm had an internal error.' : message,
    code,
    solve: solveOf(error),
    ...(problems.success ? { problems: problems.data } : {}),
    ...(missing.success ? { missing: missing.data } : {}),
  };
}
