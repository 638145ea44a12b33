import express, { type Express, type Request, type RequestHandler } from 'express';
import { readVersion, VERSION_HEADER } from '../../common/config/version.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { archiveHandlers } from './archive-handlers.ts';
import { Authentication, authenticate } from './authentication.ts';
import { type BlobHandlersOptions, blobHandlers, blobLinks } from './blob-handlers.ts';
import { type BuildHandlersOptions, buildHandlers } from './build-handlers.ts';
import { type ClusterHandlersOptions, clusterHandlers } from './cluster-handlers.ts';
import { type ConsoleHandlersOptions, consoleHandlers } from './console-handlers.ts';
import { consolePages } from './console-pages.ts';
import { eventHandlers } from './event-handlers.ts';
import { exportHandlers } from './export-handlers.ts';
import type { Handlers } from './handler.ts';
import { type ImageHandlersOptions, imageHandlers } from './image-handlers.ts';
import { layerBuildLinks } from './layer-build-links.ts';
import { layerDiskLinks } from './layer-disk-links.ts';
import { type HttpLimits, limitConcurrency, limitRequests } from './limits.ts';
import { type MetricsOptions, scrapedMetrics } from './metrics-routes.ts';
import { answerProblems } from './problems.ts';
import { type PushHandlersOptions, pushHandlers } from './push-handlers.ts';
import { queueBoard } from './queue-board.ts';
import { limitRefusals } from './refusal-limit.ts';
import { runHandlers } from './run-handlers.ts';
import { type SecretHandlersOptions, secretHandlers } from './secret-handlers.ts';
import { securityHeaders } from './security-headers.ts';
import { serialHandlers } from './serial-handlers.ts';
import { serveOpenOperations, serveOperations } from './serve-operations.ts';
import { type ServiceHandlersOptions, serviceHandlers } from './service-handlers.ts';
import { offerSignIn, signInRoutes, signOutHandler } from './sign-in.ts';
import { type SshHandlersOptions, sshHandlers } from './ssh-handlers.ts';
import { type StorageHandlersOptions, storageHandlers } from './storage-handlers.ts';
import { type SubmissionHandlersOptions, submissionHandlers } from './submission-handlers.ts';
import { tokenHandlers } from './token-handlers.ts';
import { whileValid } from './while-valid.ts';

/** Dependencies of the HTTP interface. */
export interface AppOptions
  extends BuildHandlersOptions,
    Omit<SubmissionHandlersOptions, 'admit'>,
    Omit<ConsoleHandlersOptions, 'admit'>,
    Omit<SshHandlersOptions, 'admit'>,
    Omit<BlobHandlersOptions, 'admit'>,
    Omit<PushHandlersOptions, 'admit'>,
    ClusterHandlersOptions,
    ImageHandlersOptions,
    MetricsOptions,
    SecretHandlersOptions,
    ServiceHandlersOptions,
    StorageHandlersOptions {
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
}

/**
 * The farm's HTTP interface. Only `/healthz`, `/readyz` and the sign-in form are open; a token is required for the
 * metrics, the web console, bull-board, and the operations of the table.
 */
export function createApp(options: AppOptions): Express {
  const { redis, queues, logger, token, limits } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.set('trust proxy', [...options.trustProxy]);
  app.use(securityHeaders());
  const refusals = limitRefusals(limits);
  const authentication = new Authentication({ redis, token, refusals, sessionMs: options.sessionMs });
  const operations = { handlers: handlersOf(options, authentication), logger, limits };
  app.use(serveOpenOperations(operations));
  app.use(blobLinks(options));
  app.use(layerDiskLinks(options));
  app.use(scrapedMetrics(options));
  app.use(signInRoutes({ redis, authentication, refusals }));
  app.use(authenticate(authentication, refusals), offerSignIn);
  app.use(limitRequests(limits));
  app.use(nameVersion());
  app.post('/sign-out', signOutHandler(authentication));
  app.use(consolePages(options.consoleFolder));
  app.use(layerBuildLinks(options, '/queues'));
  app.use('/queues', queueBoard(queues, '/queues'));
  app.use(serveOperations(operations));
  app.use(answerProblems(logger));
  return app;
}

/** Only those who may use the farm learn its version. */
function nameVersion(): RequestHandler {
  const version = readVersion();
  return (_request, response, next) => {
    response.set(VERSION_HEADER, version);
    next();
  };
}

function handlersOf(options: AppOptions, authentication: Authentication): Handlers {
  const find = (request: Request) => authentication.find(request);
  const lasting = { ...options, admit: whileValid(limitConcurrency(options.limits), { ...options, find }) };
  return {
    ...submissionHandlers(lasting),
    ...buildHandlers(options),
    ...eventHandlers(lasting),
    ...serialHandlers(lasting),
    ...consoleHandlers(lasting),
    ...sshHandlers(lasting),
    ...imageHandlers(options),
    ...exportHandlers(lasting),
    ...pushHandlers(lasting),
    ...archiveHandlers(lasting),
    ...runHandlers(options),
    ...clusterHandlers(options),
    ...storageHandlers(options),
    ...blobHandlers(lasting),
    ...secretHandlers(options),
    ...tokenHandlers(options),
    ...serviceHandlers(options),
  };
}
