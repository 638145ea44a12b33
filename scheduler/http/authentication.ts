import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { FarmError } from '../../common/errors/farm-error.ts';

const COOKIE = 'slipway_token';
const COOKIE_DAYS = 30;

/**
 * Lets requests with the farm's token through: as bearer token, or as cookie for pages that a browser opens. A link with
 * `?token=…` sets the cookie and leads to itself without the token.
 */
export function requireToken(token: string): RequestHandler {
  // Hashes have one length, so that comparing them tells nothing.
  const wanted = digest(token);
  const isToken = (given: string | undefined) => given !== undefined && timingSafeEqual(digest(given), wanted);
  return (request, response, next) => {
    const bearer = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (isToken(bearer) || isToken(readCookie(request.headers.cookie))) return next();
    const { token: linked } = request.query;
    if (request.method === 'GET' && typeof linked === 'string' && isToken(linked)) {
      const url = new URL(request.originalUrl, 'http://farm');
      url.searchParams.delete('token');
      response.cookie(COOKIE, linked, { httpOnly: true, sameSite: 'strict', maxAge: COOKIE_DAYS * 86_400_000 });
      return response.redirect(303, `${url.pathname}${url.search}`);
    }
    response.setHeader('www-authenticate', 'Bearer');
    next(new FarmError('Unauthorized', 'The request has no valid bearer token.'));
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
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
