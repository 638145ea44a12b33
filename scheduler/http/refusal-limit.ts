import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, type Options, type RateLimitRequestHandler, rateLimit } from 'express-rate-limit';
import type { Config } from '../../common/config/schema.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

const MINUTE_MS = 60_000;

/** Bounds refused requests by address, so that guessing and noise are slowed while valid tokens pass. */
export interface RefusalLimit {
  /** Counts a request that is refused. */
  readonly count: RequestHandler;
  /** Called before a lookup of a name that was not seen before. @throws TooManyRequests */
  assertFew(request: Request): Promise<void>;
}

export function limitRefusals({
  refusalsPerMinute,
}: Pick<Config['http']['limits'], 'refusalsPerMinute'>): RefusalLimit {
  const sentence = 'Too many requests without a valid token came from this address.';
  const keyGenerator = ({ ip = '' }: Request) => ipKeyGenerator(ip);
  const count = limitPerMinute({ limit: refusalsPerMinute, keyGenerator }, sentence);
  return {
    count,
    assertFew: async (request) => {
      const counted = await count.getKey(keyGenerator(request));
      if ((counted?.totalHits ?? 0) >= refusalsPerMinute) throw new FarmError('TooManyRequests', sentence);
    },
  };
}

/** Counts requests by a key; a process counts what itself receives. */
export function limitPerMinute(options: Partial<Options>, sentence: string): RateLimitRequestHandler {
  return rateLimit({
    ...options,
    windowMs: MINUTE_MS,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    handler: (_request, _response, next) => next(new FarmError('TooManyRequests', sentence)),
  });
}
