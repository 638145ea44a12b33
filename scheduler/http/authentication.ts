import { timingSafeEqual } from 'node:crypto';
import type { CookieOptions, Request, RequestHandler, Response } from 'express';
import type { Redis } from 'ioredis';
import { BOOTSTRAP_TOKEN } from '../../common/contracts/tokens.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import { beginSession, endSession, findSession } from '../../common/redis/sessions.ts';
import { findPrincipal, hashToken, isTokenLike, type Principal } from '../../common/redis/tokens.ts';
import type { RefusalLimit } from './refusal-limit.ts';
import { isUpgrade } from './upgrades.ts';

const COOKIE = 'slipway_session';
/** Prefix of the WebSocket subprotocol that carries a browser's token in base64url. */
const PROTOCOL_BEARER = 'base64url.bearer.authorization.slipway.dev.';
/** Tokens that were valid a while ago and are still looked for when their address has guessed too often. */
const MAX_REMEMBERED = 10_000;

/** Dependencies of the check of tokens and sessions. */
export interface AuthenticationOptions {
  readonly redis: Redis;
  /** Token of the configuration: an admin, also while Redis is away. */
  readonly token: string;
  readonly refusals: RefusalLimit;
  /** How long a browser stays signed in. */
  readonly sessionMs: number;
}

/** The caller, and the hash of its token. */
export interface Credential {
  readonly principal: Principal;
  readonly tokenHash: string;
}

const credentials = new WeakMap<Request, Credential>();

/** The caller. Only behind `authenticate`. */
export function principalOf(request: Request): Principal {
  return credentialOf(request).principal;
}

/** As `principalOf`, with the token that the request came with or that its session is of. */
export function credentialOf(request: Request): Credential {
  const credential = credentials.get(request);
  assert(credential, 'Every request that is handled was authenticated.');
  return credential;
}

/** Knows the token of the configuration, those that were made, and the sessions of browsers. */
export class Authentication {
  readonly #options: AuthenticationOptions;
  readonly #bootstrapHash: string;
  /** Hashes, the latest last. */
  readonly #valid = new Set<string>();

  constructor(options: AuthenticationOptions) {
    this.#options = options;
    this.#bootstrapHash = hashToken(options.token);
  }

  /**
   * Owner of the token; null when it is invalid. Tokens of an address that has guessed too often are not looked up, unless one was
   * valid before. @throws TooManyRequests, RedisUnavailable
   */
  async findToken(request: Request, token: string | undefined): Promise<Credential | null> {
    if (token === undefined) return null;
    const tokenHash = hashToken(token);
    if (!this.#isBootstrap(tokenHash)) {
      if (!isTokenLike(token)) return null;
      if (!this.#valid.has(tokenHash)) await this.#options.refusals.assertFew(request);
    }
    return this.findHash(tokenHash);
  }

  /** As `findToken`, by the hash that a session or a code stands for. @throws RedisUnavailable */
  async findHash(tokenHash: string): Promise<Credential | null> {
    if (this.#isBootstrap(tokenHash)) return { principal: { name: BOOTSTRAP_TOKEN, role: 'admin' }, tokenHash };
    const principal = await findPrincipal(this.#options.redis, tokenHash);
    this.#remember(tokenHash, principal !== null);
    return principal && { principal, tokenHash };
  }

  /** The caller, by its token, or by its session where it sends none. @throws TooManyRequests, RedisUnavailable */
  find(request: Request): Promise<Credential | null> {
    const bearer = readBearer(request.headers);
    return bearer === undefined ? this.findSession(request) : this.findToken(request, bearer);
  }

  /** Whose session it is; null when it has ended, or its token has. @throws TooManyRequests, RedisUnavailable */
  async findSession(request: Request): Promise<Credential | null> {
    const secret = readCookie(request.headers.cookie);
    if (secret === undefined) return null;
    const { redis, refusals } = this.#options;
    const known = hashToken(secret);
    if (!this.#valid.has(known)) await refusals.assertFew(request);
    const tokenHash = await findSession(redis, secret);
    const credential = tokenHash === null ? null : await this.findHash(tokenHash);
    this.#remember(known, credential !== null);
    return credential;
  }

  /** From now on the browser sends its session by itself, from pages of this very host. @throws RedisUnavailable */
  async beginSession(request: Request, response: Response, { tokenHash }: Credential): Promise<void> {
    const { redis, sessionMs } = this.#options;
    const secret = await beginSession(redis, tokenHash, sessionMs);
    response.cookie(COOKIE, secret, { ...cookieOptions(request), maxAge: sessionMs });
  }

  /** Ends the session of this browser, here too. @throws RedisUnavailable */
  async endSession(request: Request, response: Response): Promise<void> {
    const secret = readCookie(request.headers.cookie);
    if (secret !== undefined) await endSession(this.#options.redis, secret);
    response.clearCookie(COOKIE, cookieOptions(request));
  }

  #isBootstrap(tokenHash: string): boolean {
    return timingSafeEqual(Buffer.from(tokenHash), Buffer.from(this.#bootstrapHash));
  }

  #remember(hash: string, isValid: boolean): void {
    this.#valid.delete(hash);
    if (isValid) this.#valid.add(hash);
    const [oldest] = this.#valid;
    if (this.#valid.size > MAX_REMEMBERED && oldest !== undefined) this.#valid.delete(oldest);
  }
}

/**
 * Lets requests through with a valid token, or with a session, for pages that a browser opens.
 * @throws Unauthorized, Forbidden, TooManyRequests, RedisUnavailable
 */
export function authenticate(authentication: Authentication, refusals: RefusalLimit): RequestHandler {
  return async (request, response, next) => {
    const found = await authentication.find(request);
    if (found) {
      if (readBearer(request.headers) === undefined) refuseForeignPage(request);
      credentials.set(request, found);
      return next();
    }
    await refusals.count(request, response, (error?: unknown) => {
      if (error) return next(error);
      response.setHeader('www-authenticate', 'Bearer');
      next(new FarmError('Unauthorized', 'The request has no valid bearer token.'));
    });
  };
}

/** A path of this host. Two slashes at the start would name another one. */
export function pathOnThisHost(target: string): string {
  const path = target.replace(/^[/\\]*/, '/');
  const url = new URL(URL.canParse(path, 'http://farm') ? path : '/', 'http://farm');
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
  throw new FarmError(
    'Forbidden',
    'A request with the session cookie that changes something must come from a page of the farm.',
    { details: { solve: 'Use the web console at the address of the farm, or send a bearer token instead.' } },
  );
}

function cookieOptions({ secure }: Request): CookieOptions {
  return { httpOnly: true, sameSite: 'strict', secure };
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
