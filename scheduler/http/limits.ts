import type { Writable } from 'node:stream';
import type { Request, RequestHandler } from 'express';
import type { Config } from '../../common/config/schema.ts';
import type { TokenRole } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { principalOf } from './authentication.ts';
import { limitPerMinute } from './refusal-limit.ts';

/** How much the HTTP interface takes. */
export type HttpLimits = Config['http']['limits'];

/** Counts requests by token; a process counts what itself receives. */
export function limitRequests({ requestsPerMinute }: HttpLimits): RequestHandler {
  const keyGenerator = (request: Request) => principalOf(request).name;
  return limitPerMinute({ limit: requestsPerMinute, keyGenerator }, 'The token has sent too many requests.');
}

/** Admits a lasting request (stream, console, upload). @throws TooManyRequests */
export type Admit = (lasting: Writable, request: Request) => void;

/**
 * Limits concurrent long-lived requests: streams hold a connection to Redis, consoles a picture. A token has a part
 * of it, and the last places are reserved for roles that may write.
 */
export function limitConcurrency({ streams, streamsPerToken }: HttpLimits): Admit {
  const openBy = new Map<string, number>();
  let open = 0;
  return (lasting, request) => {
    const { name, role } = principalOf(request);
    const own = openBy.get(name) ?? 0;
    if (own >= streamsPerToken) {
      const message = `The token "${name}" has ${own} streams of this scheduler already, and its limit is ${streamsPerToken}.`;
      throw new FarmError('TooManyRequests', message);
    }
    const places = Math.ceil(streams * SHARE[role]);
    if (open >= places) {
      const message = `This scheduler serves ${open} streams already, and the limit for the role ${role} is ${places}.`;
      throw new FarmError('TooManyRequests', message);
    }
    if (lasting.destroyed) return;
    open += 1;
    openBy.set(name, own + 1);
    lasting.once('close', () => {
      open -= 1;
      const left = (openBy.get(name) ?? 1) - 1;
      if (left > 0) openBy.set(name, left);
      else openBy.delete(name);
    });
  };
}

/** Of the places for lasting requests, how many may be taken when a client of a role comes. */
const SHARE: Readonly<Record<TokenRole, number>> = { viewer: 0.8, builder: 0.9, admin: 1 };
