import { readFile } from 'node:fs/promises';
import express, { type Express, Router } from 'express';
import { packagePath } from '../../common/config/package-root.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { readRedis } from '../../common/redis/scripts.ts';
import { archiveRoutes } from './archive-routes.ts';
import { Authentication, authenticate } from './authentication.ts';
import { type BlobRoutesOptions, blobLinks, blobRoutes } from './blob-routes.ts';
import { type BuildRoutesOptions, buildRoutes } from './build-routes.ts';
import { type ClusterRoutesOptions, clusterRoutes } from './cluster-routes.ts';
import { consolePages } from './console-pages.ts';
import { type ConsoleRoutesOptions, consoleRoutes } from './console-routes.ts';
import { eventRoutes } from './event-routes.ts';
import { exportRoutes } from './export-routes.ts';
import { guardOperations } from './guard.ts';
import { type ImageRoutesOptions, imageRoutes } from './image-routes.ts';
import { type HttpLimits, limitConcurrency, limitRequests } from './limits.ts';
import { type MetricsOptions, scrapedMetrics, sendMetrics } from './metrics-routes.ts';
import { openApi } from './openapi.ts';
import { answerProblems, notFound } from './problems.ts';
import { type PushRoutesOptions, pushRoutes } from './push-routes.ts';
import { queueBoard } from './queue-board.ts';
import { referencePage } from './reference-page.ts';
import { limitRefusals } from './refusal-limit.ts';
import { runRoutes } from './run-routes.ts';
import { type SecretRoutesOptions, secretRoutes } from './secret-routes.ts';
import { securityHeaders } from './security-headers.ts';
import { serialRoutes } from './serial-routes.ts';
import { offerSignIn, signInRoutes, signOut } from './sign-in.ts';
import { type SshRoutesOptions, sshRoutes } from './ssh-routes.ts';
import { type StorageRoutesOptions, storageRoutes } from './storage-routes.ts';
import { tokenRoutes } from './token-routes.ts';

/** What the HTTP interface works with. */
export interface AppOptions
  extends Omit<BuildRoutesOptions, 'admit'>,
    Omit<ConsoleRoutesOptions, 'admit'>,
    Omit<SshRoutesOptions, 'admit'>,
    Omit<BlobRoutesOptions, 'admit'>,
    Omit<PushRoutesOptions, 'admit'>,
    ClusterRoutesOptions,
    ImageRoutesOptions,
    MetricsOptions,
    SecretRoutesOptions,
    StorageRoutesOptions {
  /** The token of the configuration: an admin. */
  readonly token: string;
  readonly limits: HttpLimits;
  /** How long a browser stays signed in. */
  readonly sessionMs: number;
  /** Addresses and networks of proxies that are believed. */
  readonly trustProxy: readonly string[];
  readonly logger: Logger;
  /** Where the compiled web console is. */
  readonly consoleFolder: string;
  /** False while the process starts or stops. */
  isReady(): boolean;
}

/**
 * The farm's HTTP interface. Nothing but `/healthz`, `/readyz` and the form to sign in is open; behind a token are the
 * metrics, the web console, bull-board, and what the table of operations has.
 */
export function createApp(options: AppOptions): Express {
  const { redis, queues, logger, token, limits } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.set('trust proxy', [...options.trustProxy]);
  app.use(securityHeaders());
  app.get('/healthz', (_request, response) => void response.type('text').send('ok\n'));
  app.get('/readyz', async (_request, response) => {
    const ready = options.isReady() && (await readRedis(redis.ping()).catch(() => 'no')) === 'PONG';
    response
      .status(ready ? 200 : 503)
      .type('text')
      .send(ready ? 'ready\n' : 'not ready\n');
  });
  app.use(blobLinks(options));
  app.use(scrapedMetrics(options));
  const refusals = limitRefusals(limits);
  const authentication = new Authentication({ redis, token, refusals, sessionMs: options.sessionMs });
  app.use(signInRoutes({ redis, authentication, refusals }));
  app.use(authenticate(authentication, refusals), offerSignIn);
  app.use(limitRequests(limits));
  app.post('/sign-out', signOut(authentication));
  app.use(consolePages(options.consoleFolder));
  app.use('/queues', queueBoard(queues, '/queues'));
  app.use(guardOperations(logger));
  app.use(pageRoutes(options));
  const streaming = { ...options, admit: limitConcurrency(limits) };
  app.use('/api/v1', buildRoutes(streaming), eventRoutes(streaming), serialRoutes(streaming));
  app.use('/api/v1', consoleRoutes(streaming), sshRoutes(streaming), blobRoutes(streaming));
  app.use('/api/v1', exportRoutes(streaming), pushRoutes(streaming), archiveRoutes(streaming));
  app.use(
    '/api/v1',
    clusterRoutes(options),
    imageRoutes(options),
    runRoutes(options),
    storageRoutes(options),
    secretRoutes(options),
    tokenRoutes({ redis }),
  );
  app.use(notFound);
  app.use(answerProblems(logger));
  return app;
}

/** What the farm says about itself. */
function pageRoutes(options: MetricsOptions): Router {
  const router = Router();
  router.get('/metrics', sendMetrics(options));
  router.get('/schemas/module.json', async (_request, response) => {
    response.type('application/schema+json').send(await readFile(packagePath('docs', 'module.schema.json')));
  });
  router.get('/api', (_request, response) => void response.type('html').send(referencePage()));
  router.get('/api/openapi.json', (_request, response) => void response.json(openApi()));
  return router;
}
