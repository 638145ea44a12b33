import express, { Router } from 'express';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Paths of the console's own pages; the page itself routes between them. */
const PAGES = ['/', '/builds/:id', '/images', '/runs', '/clusters'];
/** Addresses that people type after what the console calls its pages, and where these are. */
const OTHER_NAMES = { '/builds': '/', '/clones': '/runs' } as const;

/**
 * The web console, compiled into `folder`: one page, which is asked for again every time, and assets that carry a hash of
 * their content in their names and so never change.
 */
export function consolePages(folder: string): Router {
  const router = Router();
  const options = { root: folder, cacheControl: false };
  router.get(PAGES, (_request, response, next) => {
    response.set('cache-control', 'no-cache');
    response.sendFile('index.html', options, (error) => {
      if (error && !response.headersSent) next(notBuilt(error));
    });
  });
  for (const [name, page] of Object.entries(OTHER_NAMES)) {
    router.get(name, ({ originalUrl }, response) => {
      const at = originalUrl.indexOf('?');
      response.redirect(302, `${page}${at < 0 ? '' : originalUrl.slice(at)}`);
    });
  }
  const assets = { immutable: true, maxAge: '365d', index: false, redirect: false };
  router.use('/assets', express.static(`${folder}/assets`, assets));
  return router;
}

function notBuilt(cause: Error): FarmError {
  const solve = 'Compile it with `npm run build`, then load the page again.';
  return new FarmError('NotFound', 'This farm has no web console: it was not compiled.', { cause, details: { solve } });
}
