import type { Request, RequestHandler, Response } from 'express';
import { type Options, rateLimit } from 'express-rate-limit';
import type { Config } from '../../common/config/schema.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { principalOf } from './authentication.ts';

/** How much the HTTP interface takes. */
export type HttpLimits = Config['http']['limits'];

const MINUTE_MS = 60_000;

/** Counts requests by token; a process counts what itself receives. */
export function limitRequests({ requestsPerMinute }: HttpLimits): RequestHandler {
  const keyGenerator = (request: Request) => principalOf(request).name;
  return limitPerMinute({ limit: requestsPerMinute, keyGenerator }, 'The token has sent too many requests.');
}

/** Counts refused requests by address, so that guessing and noise are slowed while valid tokens pass. */
export function limitRefusals({ refusalsPerMinute }: HttpLimits): RequestHandler {
  return limitPerMinute({ limit: refusalsPerMinute }, 'Too many requests without a valid token came from here.');
}

/** Bounds what is served at the same time; each such request holds a connection to Redis. */
export function limitConcurrency(limit: number): (response: Response) => void {
  let open = 0;
  return (response) => {
    if (open >= limit) throw new FarmError('TooManyRequests', `This scheduler serves ${limit} streams already.`);
    if (response.destroyed) return;
    open += 1;
    response.once('close', () => {
      open -= 1;
    });
  };
}

function limitPerMinute(options: Partial<Options>, sentence: string): RequestHandler {
  return rateLimit({
    ...options,
    windowMs: MINUTE_MS,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    handler: (_request, _response, next) => next(new FarmError('TooManyRequests', sentence)),
  });
}
