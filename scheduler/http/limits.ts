import type { Writable } from 'node:stream';
import type { Request, RequestHandler } from 'express';
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

/** Bounds what is served at the same time and lasts: streams hold a connection to Redis, consoles a picture. */
export function limitConcurrency(limit: number): (lasting: Writable) => void {
  let open = 0;
  return (lasting) => {
    if (open >= limit) throw new FarmError('TooManyRequests', `This scheduler serves ${limit} streams already.`);
    if (lasting.destroyed) return;
    open += 1;
    lasting.once('close', () => {
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
