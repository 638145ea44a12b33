import { readFile } from 'node:fs/promises';
import express, { type Express, Router } from 'express';
import { packagePath } from '../../common/config/package-root.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { readRedis } from '../../common/redis/scripts.ts';
import type { PhaseQueues } from '../dispatch/queues.ts';
import { requireToken } from './authentication.ts';
import { type BuildRoutesOptions, buildRoutes } from './build-routes.ts';
import { clusterView, type KnownCluster } from './cluster-views.ts';
import { eventRoutes } from './event-routes.ts';
import { openApi } from './openapi.ts';
import { answerProblems, notFound } from './problems.ts';
import { queueBoard } from './queue-board.ts';

/** What the HTTP interface works with. */
export interface AppOptions extends BuildRoutesOptions {
  readonly token: string;
  readonly queues: PhaseQueues;
  readonly clusters: readonly KnownCluster[];
  readonly logger: Logger;
  /** False while the process starts or stops. */
  isReady(): boolean;
  /** Brings gauges up to date. */
  measure(): Promise<void>;
}

/** The farm's HTTP interface. Nothing but `/healthz` and `/readyz` is open. */
export function createApp(options: AppOptions): Express {
  const { redis, queues, clusters, metrics, logger, token } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.use((_request, response, next) => {
    response.set({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'x-frame-options': 'DENY' });
    next();
  });
  app.get('/healthz', (_request, response) => void response.type('text').send('ok\n'));
  app.get('/readyz', async (_request, response) => {
    const ready = options.isReady() && (await readRedis(redis.ping()).catch(() => 'no')) === 'PONG';
    response
      .status(ready ? 200 : 503)
      .type('text')
      .send(ready ? 'ready\n' : 'not ready\n');
  });
  app.use(requireToken(token));
  app.get('/metrics', async (_request, response) => {
    await options.measure();
    response.set('content-type', metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.get('/schemas/module.json', async (_request, response) => {
    response.type('application/schema+json').send(await readFile(packagePath('docs', 'module.schema.json')));
  });
  app.get('/api/openapi.json', (_request, response) => void response.json(openApi()));
  app.use('/queues', queueBoard(queues, '/queues'));

  const api = Router();
  api.use(buildRoutes(options));
  api.use(eventRoutes(options));
  api.get('/images', async (_request, response) => {
    const images = (await readLayers(redis)).toSorted((a, b) => b.createdAt.localeCompare(a.createdAt));
    response.json({ images });
  });
  api.get('/clusters', async (_request, response) => {
    response.json({ clusters: await Promise.all(clusters.map((cluster) => clusterView({ redis, queues }, cluster))) });
  });
  app.use('/api/v1', api);
  app.use(notFound);
  app.use(answerProblems(logger));
  return app;
}
