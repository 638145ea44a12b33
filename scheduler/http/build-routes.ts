import { type Request, Router, raw } from 'express';
import type { Redis } from 'ioredis';
import {
  buildsQuerySchema,
  planQuerySchema,
  retryQuerySchema,
  submissionHeadersSchema,
  submissionQuerySchema,
  vmQuerySchema,
  writeCursor,
} from '../../common/contracts/api/parameters.ts';
import type { BuildView } from '../../common/contracts/builds.ts';
import { type Owners, type Priority, termsOf } from '../../common/contracts/owners.ts';
import { includesRole } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { readFarmTime } from '../../common/redis/admission-queue.ts';
import {
  countLayersOf,
  countLivingWorks,
  readBuildPage,
  readScreenshot,
  type StoredWork,
} from '../../common/redis/builds.ts';
import { readEvents, readLastEventId } from '../../common/redis/event-streams.ts';
import { readWaitingWorks } from '../../common/redis/handbuilds.ts';
import { cancelBuild } from '../../common/redis/submissions.ts';
import type { BuildService } from '../builds/build-service.ts';
import { buildSummary, buildView } from '../builds/views.ts';
import type { SentModules } from '../planning/read-modules.ts';
import { audit } from './audit.ts';
import { principalOf } from './authentication.ts';
import { loadBuild, noSuchVm, worksWithVm } from './build-works.ts';
import type { ClusterRoutesOptions } from './cluster-routes.ts';
import { explainWaiting } from './explain-waiting.ts';
import type { HttpLimits } from './limits.ts';
import type { StreamOptions } from './server-sent-events.ts';

/** What the routes work with. */
export interface BuildRoutesOptions extends StreamOptions, Pick<ClusterRoutesOptions, 'clusters'> {
  readonly builds: BuildService;
  readonly owners: Owners;
  readonly metrics: FarmMetrics;
  readonly limits: Pick<HttpLimits, 'body' | 'layers'>;
  /** The screen of a VM as it is now (PNG); null when it does not run. */
  liveScreenshot(cluster: string, vm: { layerBuild: string; generation: number; vm: string }): Promise<Buffer | null>;
}

/** Builds, plans and their screens. */
export function buildRoutes(options: BuildRoutesOptions): Router {
  const { redis, builds, metrics, limits, admit } = options;
  const clusters = options.clusters.map(({ name }) => name);
  const router = Router();
  const readBody = raw({ type: () => true, limit: limits.body });

  router.post('/builds', readBody, async (request, response) => {
    const { wait, onError: keepMs, pauseBefore, priority, as, ...query } = submissionQuerySchema.parse(request.query);
    const { 'idempotency-key': key = null } = submissionHeadersSchema.parse(request.headers);
    const sent = { ...readSent(request), ...query };
    const owner = ownerOf(request, { priority, as });
    await refuseFlood(options, owner);
    if (wait) admit(response, request);
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const submitter = { idempotencyKey: key, name: owner, priority, keepMs, pauseBefore };
    const { buildId, answer, modules, actions } = await builds.submit(sent, submitter);
    audit(response, { outcome: 'accepted', build: buildId, modules });
    for (const [action, layers] of Object.entries(actions)) metrics.layers.inc({ action }, layers);
    response.location(`/api/v1/builds/${buildId}`);
    if (!wait) return void response.status(202).type('json').send(Buffer.from(answer));
    await untilFinished(options, buildId, gone.signal);
    if (!gone.signal.aborted) response.json(await view(redis, buildId));
  });

  router.post('/builds/:id/retry', async (request, response) => {
    const { onError: keepMs } = retryQuerySchema.parse(request.query);
    const former = await loadBuild(redis, request.params.id);
    await refuseFlood(options, principalOf(request).name);
    const retried = await builds.retry(former, { name: principalOf(request).name, keepMs });
    const { buildId, answer, modules, actions } = retried;
    audit(response, { outcome: 'accepted', subject: buildId, modules });
    for (const [action, layers] of Object.entries(actions)) metrics.layers.inc({ action }, layers);
    response.location(`/api/v1/builds/${buildId}`).status(202).type('json').send(Buffer.from(answer));
  });

  router.post('/plan', readBody, async (request, response) => {
    const query = planQuerySchema.parse(request.query);
    const plan = await builds.plan({ ...readSent(request), ...query }, principalOf(request).name);
    response.type('json').send(Buffer.from(plan));
  });

  router.get('/builds', async (request, response) => {
    const { limit, cursor } = buildsQuerySchema.parse(request.query);
    const after = cursor ? { createdAt: cursor[0], id: cursor[1] } : null;
    const { builds: page, next } = await readBuildPage(redis, limit, after);
    const waiting = await readWaitingWorks(redis, clusters);
    response.json({
      builds: page.map((build) => buildSummary(build, waiting)),
      nextCursor: next && writeCursor([next.createdAt, next.id]),
    });
  });

  router.get('/builds/:id', async (request, response) => {
    response.json(await view(redis, request.params.id));
  });

  router.get('/builds/:id/waiting', async (request, response) => {
    const loaded = await loadBuild(redis, request.params.id);
    response.json({ waits: await explainWaiting(options, loaded, await readFarmTime(redis)) });
  });

  router.post('/builds/:id/cancel', async (request, response) => {
    const cancelled = await cancelBuild(redis, request.params.id);
    audit(response, { outcome: cancelled ? 'cancelled' : 'had finished' });
    response.status(202).json({ buildId: request.params.id, cancelled });
  });

  router.get('/builds/:id/vms/:vm/screenshot', async (request, response) => {
    const { layerBuild } = vmQuerySchema.parse(request.query);
    const { id, vm } = request.params;
    const candidates = await worksWithVm(redis, { id, vm, layerBuild });
    for (const work of candidates) {
      const png = (await live(options, work, vm)) ?? (await readScreenshot(redis, work.id, vm));
      if (png) return void response.type('png').set('cache-control', 'no-store').send(png);
    }
    if (candidates.length === 0) throw noSuchVm(id, vm);
    const solve = 'A picture is kept of failures that it may explain; the last lines of the serial port always are.';
    const message = `There is no picture of VM "${vm}": it does not run, and none was kept.`;
    throw new FarmError('NotFound', message, { details: { solve } });
  });
  return router;
}

/** What planning threads read. @throws InvalidRequest when it is written in another encoding */
function readSent(request: Request): Pick<SentModules, 'body' | 'isJson'> {
  const [, charset = 'utf-8'] = /;\s*charset="?([^";\s]+)/i.exec(request.headers['content-type'] ?? '') ?? [];
  if (!/^(utf-?8|us-ascii)$/i.test(charset)) {
    throw new FarmError('InvalidRequest', `The body is said to be in ${charset}: send modules in UTF-8.`);
  }
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  return { body, isJson: request.is('json') !== false };
}

/** Whose build it is. @throws Forbidden when the token may not ask for so much */
function ownerOf(
  request: Request,
  { priority, as }: { readonly priority: Priority; readonly as: string | undefined },
): string {
  const { name, role } = principalOf(request);
  const asked =
    priority === 'high' ? 'the priority "high"' : as !== undefined && as !== name ? `builds of "${as}"` : '';
  if (asked === '' || includesRole(role, 'admin')) return as ?? name;
  throw new FarmError('Forbidden', `The token "${name}" has the role ${role}, and ${asked} asks for the role admin.`);
}

/** @throws TooManyRequests */
async function refuseFlood(
  { redis, limits, owners }: Pick<BuildRoutesOptions, 'redis' | 'limits' | 'owners'>,
  owner: string,
): Promise<void> {
  const living = await countLivingWorks(redis);
  if (living >= limits.layers) {
    throw new FarmError('TooManyRequests', `${living} layers wait or are in the making already.`);
  }
  const { layers } = termsOf(owners, owner);
  const own = layers === undefined ? 0 : await countLayersOf(redis, owner);
  if (layers === undefined || own < layers) return;
  const message = `${own} layers of "${owner}" wait or are in the making already, and its quota is ${layers}.`;
  throw new FarmError('TooManyRequests', message);
}

async function view(redis: Redis, id: string): Promise<BuildView> {
  // Before the rest: what happens meanwhile may be told twice, but is never missed.
  const lastEventId = await readLastEventId(redis, id);
  const { build, works } = await loadBuild(redis, id);
  return buildView(build, works, lastEventId);
}

/** Only while the machine may run: a cluster is not asked about what has ended. */
async function live({ liveScreenshot }: BuildRoutesOptions, work: StoredWork, vm: string): Promise<Buffer | null> {
  if (work.state !== 'running' && work.state !== 'stopping') return null;
  return liveScreenshot(work.cluster, { layerBuild: work.id, generation: work.generation, vm });
}

async function untilFinished({ openListener }: StreamOptions, buildId: string, signal: AbortSignal): Promise<void> {
  const listener = await openListener();
  if (signal.aborted) return listener.disconnect();
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
