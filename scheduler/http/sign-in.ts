import express, { type ErrorRequestHandler, type RequestHandler, type Response, Router } from 'express';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { FarmError } from '../../common/errors/farm-error.ts';
import { useSignInCode } from '../../common/redis/sessions.ts';
import { type Authentication, pathOnThisHost, refuseForeignPage } from './authentication.ts';
import { escapeHtml } from './escape-html.ts';
import type { RefusalLimit } from './refusal-limit.ts';

const BODY_LIMIT = '16kb';
const STYLE_PATH = '/sign-in.css';
const formSchema = z.object({ token: z.string().trim().min(1), to: z.string().default('/') });
const linkSchema = z.object({ code: z.string().min(1), to: z.string().default('/') });

/** Dependencies of the routes. */
export interface SignInOptions {
  readonly redis: Redis;
  readonly authentication: Authentication;
  readonly refusals: RefusalLimit;
}

/**
 * How a browser gets a session: by a link with a code that works once, or by a form that takes a token. Open, like the probes;
 * wrong codes and tokens count as the refused requests that they are.
 */
export function signInRoutes(options: SignInOptions): Router {
  const router = Router();
  router.get(STYLE_PATH, (_request, response) => void response.type('css').send(STYLE));
  router.get('/sign-in', signInByLink(options));
  router.post('/sign-in', express.urlencoded({ extended: false, limit: BODY_LIMIT }), signInByForm(options));
  return router;
}

/** Without a code it serves the form. */
function signInByLink({ redis, authentication, refusals }: SignInOptions): RequestHandler {
  return async (request, response, next) => {
    const { code, to } = linkSchema.catch({ code: '', to: '/' }).parse(request.query);
    if (code === '') return sendPage(response, { to, complaint: null });
    await refusals.assertFew(request);
    const tokenHash = await useSignInCode(redis, code);
    const found = tokenHash === null ? null : await authentication.findHash(tokenHash);
    if (found) {
      await authentication.beginSession(request, response, found);
      return response.redirect(303, pathOnThisHost(to));
    }
    await refusals.count(request, response, (error?: unknown) => {
      if (error) return next(error);
      sendPage(response, {
        to,
        complaint: 'This link was used or has expired: slipway open creates a new one.',
      });
    });
  };
}

function signInByForm({ authentication, refusals }: SignInOptions): RequestHandler {
  return async (request, response, next) => {
    refuseForeignPage(request);
    const { token, to } = formSchema.catch({ token: '', to: '/' }).parse(request.body);
    const found = await authentication.findToken(request, token);
    if (found) {
      await authentication.beginSession(request, response, found);
      return response.redirect(303, pathOnThisHost(to));
    }
    await refusals.count(request, response, (error?: unknown) => {
      if (error) return next(error);
      sendPage(response, { to, complaint: 'The token is not valid.' });
    });
  };
}

/** Ends the session of this browser. Behind `authenticate`. */
export function signOutHandler(authentication: Authentication): RequestHandler {
  return async (request, response) => {
    await authentication.endSession(request, response);
    response.status(204).end();
  };
}

/** Serves the form to browsers; programs get the error about the missing token. */
export const offerSignIn: ErrorRequestHandler = (error, request, response, next) => {
  const isRefused = error instanceof FarmError && error.code === 'Unauthorized';
  const isPerson = request.method === 'GET' && request.accepts(['json', 'html']) === 'html';
  if (!isRefused || !isPerson) return next(error);
  sendPage(response, { to: request.originalUrl, complaint: null });
};

interface Form {
  /** Where to go from here. */
  readonly to: string;
  readonly complaint: string | null;
}

function sendPage(response: Response, { to, complaint }: Form): void {
  // Without it browsers send forms with the origin "null".
  response
    .status(401)
    .set({ 'referrer-policy': 'same-origin', 'cache-control': 'no-store' })
    .type('html')
    .send(
      `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Sign in · Slipway</title>
<link rel="stylesheet" href="${STYLE_PATH}"></head><body><main><h1>Slipway</h1>
<form method="post" action="/sign-in"><input type="hidden" name="to" value="${escapeHtml(pathOnThisHost(to))}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus aria-describedby="hint">
${complaint === null ? '' : `<p class="complaint" role="alert">${escapeHtml(complaint)}</p>`}
<button>Sign in</button></form>
<p id="hint"><code>slipway up</code> and <code>slipway open</code> print a link that signs you in once; an admin makes tokens with
<code>slipway token create</code>. Signed in before, and came here by a link? <a href="${escapeHtml(pathOnThisHost(to))}">Continue</a></p>
</main></body></html>\n`,
    );
}

const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif;--line:#c6cfd9;--accent:#1f5fa8;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--line:#46515e;--accent:#7db4ee;--bad:#ff9d94}}
body{margin:0;padding:12vh 1rem 2rem}main{max-width:24rem;margin:0 auto}h1{font-size:1.5rem;margin:0 0 1.5rem}
form{display:grid;gap:.5rem}label{font-weight:600}
input,button{font:inherit;padding:.5rem .7rem;border:1px solid var(--line);border-radius:6px}
button{cursor:pointer;background:var(--accent);border-color:var(--accent);color:Canvas;font-weight:600;margin-top:.4rem}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}.complaint{color:var(--bad);margin:0}
#hint{font-size:.875rem;opacity:.8;margin-top:1.5rem}a{color:var(--accent)}code{font-size:.95em}
`;
