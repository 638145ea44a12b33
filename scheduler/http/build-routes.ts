import { Router, text } from 'express';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { BuildView } from '../../common/contracts/builds.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { readBuild, readBuilds, readScreenshot, readWork, type StoredWork } from '../../common/redis/builds.ts';
import { readEvents } from '../../common/redis/event-streams.ts';
import { cancelBuild } from '../../common/redis/submissions.ts';
import type { BuildService } from '../builds/build-service.ts';
import { buildSummary, buildView } from '../builds/views.ts';
import type { EventRoutesOptions } from './event-routes.ts';
import { readIdempotencyKey, readSubmission } from './read-submission.ts';

/** The largest body of a request. */
const BODY_LIMIT = '16mb';

/** What the routes work with. */
export interface BuildRoutesOptions extends EventRoutesOptions {
  readonly builds: BuildService;
  readonly metrics: FarmMetrics;
  /** The screen of a VM as it is now (PNG); null when it does not run. */
  liveScreenshot(cluster: string, vm: { layerBuild: string; generation: number; vm: string }): Promise<Buffer | null>;
}

const listQuery = z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) });
const screenshotQuery = z.object({ layerBuild: z.string().optional() });

/** Builds, plans and their screens. */
export function buildRoutes(options: BuildRoutesOptions): Router {
  const { redis, builds, metrics } = options;
  const router = Router();
  const readBody = text({ type: () => true, limit: BODY_LIMIT });

  router.post('/builds', readBody, async (request, response) => {
    const { wait, ...submission } = readSubmission(request);
    const accepted = await builds.submit(submission, readIdempotencyKey(request));
    for (const { action } of accepted.plan.modules) metrics.layers.inc({ action });
    response.location(`/api/v1/builds/${accepted.buildId}`);
    if (!wait) return void response.status(202).json(accepted);
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    await untilFinished(options, accepted.buildId, gone.signal);
    if (!gone.signal.aborted) response.json(await view(redis, accepted.buildId));
  });

  router.post('/plan', readBody, async (request, response) => {
    response.json(await builds.plan(readSubmission(request)));
  });

  router.get('/builds', async (request, response) => {
    const { limit } = listQuery.parse(request.query);
    response.json({ builds: (await readBuilds(redis, limit)).map(buildSummary) });
  });

  router.get('/builds/:id', async (request, response) => {
    response.json(await view(redis, request.params.id));
  });

  router.post('/builds/:id/cancel', async (request, response) => {
    const cancelled = await cancelBuild(redis, request.params.id);
    response.status(202).json({ buildId: request.params.id, cancelled });
  });

  router.get('/builds/:id/vms/:vm/screenshot', async (request, response) => {
    const { layerBuild } = screenshotQuery.parse(request.query);
    const { id, vm } = request.params;
    const { works } = await load(redis, id);
    const candidates = [...works.values()].filter(
      (work) => (layerBuild === undefined || work.id === layerBuild) && work.spec.vms.some(({ name }) => name === vm),
    );
    for (const work of candidates) {
      const png = (await live(options, work, vm)) ?? (await readScreenshot(redis, work.id, vm));
      if (png) return void response.type('png').set('cache-control', 'no-store').send(png);
    }
    throw new FarmError('NotFound', `There is no picture of VM "${vm}": it does not run, and none was kept.`);
  });
  return router;
}

async function load(redis: Redis, id: string) {
  const build = await readBuild(redis, id);
  if (!build) throw new FarmError('NotFound', `There is no build "${id}".`);
  const ids = new Set(build.modules.flatMap(({ layerBuild }) => layerBuild ?? []));
  const works = await Promise.all([...ids].map((work) => readWork(redis, work)));
  return { build, works: new Map(works.flatMap((work) => (work ? [[work.id, work] as const] : []))) };
}

async function view(redis: Redis, id: string): Promise<BuildView> {
  const { build, works } = await load(redis, id);
  return buildView(build, works);
}

/** Only while the machine may run: a cluster is not asked about what has ended. */
async function live({ liveScreenshot }: BuildRoutesOptions, work: StoredWork, vm: string): Promise<Buffer | null> {
  if (work.state !== 'running' && work.state !== 'stopping') return null;
  return liveScreenshot(work.cluster, { layerBuild: work.id, generation: work.generation, vm });
}

async function untilFinished(
  { openListener }: EventRoutesOptions,
  buildId: string,
  signal: AbortSignal,
): Promise<void> {
  const listener = await openListener();
  signal.addEventListener('abort', () => listener.disconnect(), { once: true });
  try {
    for await (const event of readEvents(listener, { buildId, lastEventId: '0' }, signal)) {
      if (event?.event === 'build-finished') return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    listener.disconnect();
  }
}
