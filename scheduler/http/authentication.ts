import { createHash, timingSafeEqual } from 'node:crypto';
import type { CookieOptions, Request, RequestHandler, Response } from 'express';
import type { Redis } from 'ioredis';
import { BOOTSTRAP_TOKEN } from '../../common/contracts/tokens.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import { findPrincipal, type Principal } from '../../common/redis/tokens.ts';
import { isUpgrade } from './upgrades.ts';

const COOKIE = 'slipway_token';
const COOKIE_DAYS = 30;
/** What a browser offers among the subprotocols of a WebSocket, followed by its token in base64url. */
const PROTOCOL_BEARER = 'base64url.bearer.authorization.slipway.dev.';

/** What tokens are checked with. */
export interface AuthenticationOptions {
  readonly redis: Redis;
  /** Token of the configuration: an admin, also while Redis is away. */
  readonly token: string;
  /** Asked before a request without a valid token is refused. */
  readonly refusalLimit: RequestHandler;
}

/** Whose token it is; null when it is none. @throws RedisUnavailable */
export type TokenCheck = (given: string | undefined) => Promise<Principal | null>;

const principals = new WeakMap<Request, Principal>();

/** Who speaks. Only behind `authenticate`. */
export function principalOf(request: Request): Principal {
  const principal = principals.get(request);
  assert(principal, 'Every request that is handled was authenticated.');
  return principal;
}

/** Knows the token of the configuration and those that were made. */
export function checkTokens({ redis, token }: Pick<AuthenticationOptions, 'redis' | 'token'>): TokenCheck {
  // Hashes have one length, so that comparing them tells nothing.
  const bootstrap = digest(token);
  return async (given) => {
    if (given === undefined) return null;
    if (timingSafeEqual(digest(given), bootstrap)) return { name: BOOTSTRAP_TOKEN, role: 'admin' };
    return findPrincipal(redis, given);
  };
}

/**
 * Lets requests with a valid token through: as bearer token, or as cookie for pages that a browser opens. A link with
 * `?token=…` sets the cookie and leads to itself without the token. @throws Unauthorized, Forbidden, RedisUnavailable
 */
export function authenticate(options: AuthenticationOptions): RequestHandler {
  const find = checkTokens(options);
  return async (request, response, next) => {
    const bearer = readBearer(request.headers);
    const { token: linked } = request.query;
    if (bearer === undefined && request.method === 'GET' && typeof linked === 'string' && (await find(linked))) {
      setCookie(request, response, linked);
      return response.redirect(303, localPath(request.originalUrl));
    }
    const cookie = bearer === undefined ? readCookie(request.headers.cookie) : undefined;
    const principal = await find(bearer ?? cookie);
    if (principal) {
      if (cookie !== undefined) refuseForeignPage(request);
      principals.set(request, principal);
      return next();
    }
    await options.refusalLimit(request, response, (error?: unknown) => {
      if (error) return next(error);
      response.setHeader('www-authenticate', 'Bearer');
      next(new FarmError('Unauthorized', 'The request has no valid bearer token.'));
    });
  };
}

/** From now on the browser sends the token by itself, from pages of this very host. */
export function setCookie(request: Request, response: Response, token: string): void {
  response.cookie(COOKIE, token, { ...cookieOptions(request), maxAge: COOKIE_DAYS * 86_400_000 });
}

export function clearCookie(request: Request, response: Response): void {
  response.clearCookie(COOKIE, cookieOptions(request));
}

/** A path of this host without the token that its link may carry. Two slashes at the start would name another host. */
export function localPath(target: string): string {
  const path = target.replace(/^[/\\]*/, '/');
  const url = new URL(URL.canParse(path, 'http://farm') ? path : '/', 'http://farm');
  url.searchParams.delete('token');
  return `${url.pathname.replace(/^\/+/, '/')}${url.search}`;
}

/**
 * A browser sends cookies and forms by itself: what changes something must come from a page of this very host. So must
 * WebSockets, which browsers let any page open. @throws Forbidden
 */
export function refuseForeignPage(request: Request): void {
  const { method, headers } = request;
  if ((method === 'GET' || method === 'HEAD') && !isUpgrade(request)) return;
  const { origin = '', host } = headers;
  if (URL.canParse(origin) && new URL(origin).host === host) return;
  throw new FarmError('Forbidden', 'A change with the cookie must come from a page of the farm itself.');
}

function cookieOptions({ secure }: Request): CookieOptions {
  return { httpOnly: true, sameSite: 'strict', secure };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** From the header, or for a browser's WebSocket, which cannot have it, from a subprotocol as Kubernetes has it. */
function readBearer(headers: Request['headers']): string | undefined {
  const bearer = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
  const token = offered.find((protocol) => protocol.startsWith(PROTOCOL_BEARER))?.slice(PROTOCOL_BEARER.length);
  return token === undefined ? undefined : Buffer.from(token, 'base64url').toString();
}

function readCookie(header: string | undefined): string | undefined {
  const pairs = (header ?? '').split(';').map((pair) => pair.trim());
  const value = pairs.find((pair) => pair.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
  try {
    return value === undefined ? undefined : decodeURIComponent(value);
  } catch {
    return undefined;
  }
}
