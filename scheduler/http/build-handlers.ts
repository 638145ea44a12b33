import type { Request } from 'express';
import type { Redis } from 'ioredis';
import type { OperationId } from '../../common/contracts/api/operations.ts';
import { MAX_PAGE, writeCursor } from '../../common/contracts/api/parameters.ts';
import type { BuildView } from '../../common/contracts/builds.ts';
import { type Owners, type Priority, termsOf } from '../../common/contracts/owners.ts';
import { includesRole } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { readFarmTime } from '../../common/redis/admission-queue.ts';
import { readEvents, readLastEventId } from '../../common/redis/event-streams.ts';
import { readWaitingLayerBuilds } from '../../common/redis/handbuilds.ts';
import {
  countLayersOf,
  countLivingLayerBuilds,
  readScreenshot,
  type StoredLayerBuild,
} from '../../common/redis/layer-builds.ts';
import { cancelBuild } from '../../common/redis/submissions.ts';
import type { Principal } from '../../common/redis/tokens.ts';
import type { BuildService } from '../builds/build-service.ts';
import { findBuilds } from '../builds/find-builds.ts';
import { importRequest } from '../builds/import-module.ts';
import { buildSummary, buildView } from '../builds/views.ts';
import type { AcceptedBuild } from '../planning/plan-task.ts';
import { audit } from './audit.ts';
import type { ClusterHandlersOptions } from './cluster-handlers.ts';
import { explainWaiting } from './explain-waiting.ts';
import type { Call, Handlers } from './handler.ts';
import { layerBuildsWithVm, loadBuild, loadPageOfBuild, noSuchVm } from './layer-builds.ts';
import type { HttpLimits } from './limits.ts';
import type { StreamOptions } from './server-sent-events.ts';

/** Dependencies of the handlers. */
export interface BuildHandlersOptions extends StreamOptions, Pick<ClusterHandlersOptions, 'clusters'> {
  readonly builds: BuildService;
  readonly owners: Owners;
  readonly metrics: FarmMetrics;
  readonly limits: Pick<HttpLimits, 'layers'>;
  /** The screen of a VM as it is now (PNG); null when it does not run. */
  liveScreenshot(cluster: string, vm: { layerBuild: string; generation: number; vm: string }): Promise<Buffer | null>;
}

/** Builds, plans and their screens. */
export function buildHandlers(options: BuildHandlersOptions) {
  const { redis, builds, admit } = options;

  const report = ({ response }: Pick<Call<OperationId>, 'response'>, { buildId, actions }: AcceptedBuild) => {
    for (const [action, layers] of Object.entries<number>(actions)) options.metrics.layers.inc({ action }, layers);
    response.location(`/api/v1/builds/${buildId}`);
  };

  return {
    async submitBuild({ query, headers, body, who, request, response }) {
      const { wait, onError: keepMs, pauseBefore, priority, as, ...how } = query;
      const sent = { body, isJson: isJson(request), ...how };
      const owner = ownerOf(who, { priority, as });
      await refuseFlood(options, owner);
      if (wait) admit(response, request);
      const gone = new AbortController();
      response.on('close', () => gone.abort());
      const idempotencyKey = headers['idempotency-key'] ?? null;
      const accepted = await builds.submit(sent, { idempotencyKey, name: owner, priority, keepMs, pauseBefore });
      const { buildId, answer, modules } = accepted;
      audit(response, { outcome: 'accepted', build: buildId, modules });
      report({ response }, accepted);
      if (!wait) return { status: 202, body: answer };
      await untilFinished(options, buildId, gone.signal);
      return { status: 200, body: await view(redis, buildId, { limit: MAX_PAGE }) };
    },

    async importImage({ params: { module }, headers, body, who: { name }, response }) {
      await refuseFlood(options, name);
      const idempotencyKey = headers['idempotency-key'] ?? null;
      const accepted = await builds.submit(importRequest(module, body), { idempotencyKey, name });
      audit(response, { outcome: 'accepted', build: accepted.buildId, subject: module });
      report({ response }, accepted);
      return { status: 202, body: accepted.answer };
    },

    async retryBuild({ params: { id }, query: { onError: keepMs }, who: { name }, response }) {
      const former = await loadBuild(redis, id);
      await refuseFlood(options, name);
      const accepted = await builds.retry(former, { name, keepMs });
      audit(response, { outcome: 'accepted', subject: accepted.buildId, modules: accepted.modules });
      report({ response }, accepted);
      return { status: 202, body: accepted.answer };
    },

    async plan({ query, body, who, request }) {
      return { status: 200, body: await builds.plan({ body, isJson: isJson(request), ...query }, who.name) };
    },

    async listBuilds({ query: { limit, cursor, ...filter } }) {
      const after = cursor ? { createdAt: Number(cursor[0]), id: cursor[1] } : null;
      const { builds: page, next } = await findBuilds(redis, filter, { limit, after });
      const waiting = await readWaitingLayerBuilds(
        redis,
        options.clusters.map(({ name }) => name),
      );
      const rows = page.map((build) => buildSummary(build, waiting));
      return { status: 200, body: { builds: rows, nextCursor: next && writeCursor([next.createdAt, next.id]) } };
    },

    async readBuild({ params: { id }, query: { limit, cursor: from } }) {
      return { status: 200, body: await view(redis, id, { from, limit }) };
    },

    async explainBuild({ params: { id } }) {
      const loaded = await loadBuild(redis, id);
      return { status: 200, body: { waits: await explainWaiting(options, loaded, await readFarmTime(redis)) } };
    },

    async cancelBuild({ params: { id }, response }) {
      const cancelled = await cancelBuild(redis, id);
      audit(response, { outcome: cancelled ? 'cancelled' : 'had finished' });
      return { status: 202, body: { buildId: id, cancelled } };
    },

    async readScreenshot({ params: { id, vm }, query: { layerBuild }, response }) {
      const candidates = await layerBuildsWithVm(redis, { id, vm, layerBuild });
      for (const stored of candidates) {
        const png = (await live(options, stored, vm)) ?? (await readScreenshot(redis, stored.id, vm));
        if (png) return void response.type('png').set('cache-control', 'no-store').send(png);
      }
      if (candidates.length === 0) throw noSuchVm(id, vm);
      const solve =
        'A picture is kept only of failures that it may explain; the last lines of the serial port are always kept.';
      const message = `No picture of VM "${vm}" is available: it is not running, and no picture was kept.`;
      throw new FarmError('NotFound', message, { details: { solve } });
    },
  } satisfies Partial<Handlers>;
}

/** Whether a submission is JSON. @throws InvalidRequest when it is written in another encoding than planning threads read */
function isJson(request: Request): boolean {
  const [, charset = 'utf-8'] = /;\s*charset="?([^";\s]+)/i.exec(request.headers['content-type'] ?? '') ?? [];
  if (/^(utf-?8|us-ascii)$/i.test(charset)) return request.is('json') !== false;
  throw new FarmError('InvalidRequest', `The Content-Type declares the charset ${charset}: send modules in UTF-8.`);
}

/** Whose build it is. @throws Forbidden when the token may not ask for so much */
function ownerOf(
  { name, role }: Principal,
  { priority, as }: { readonly priority: Priority; readonly as: string | undefined },
): string {
  const asked =
    priority === 'high' ? 'the priority "high"' : as !== undefined && as !== name ? `builds of "${as}"` : '';
  if (asked === '' || includesRole(role, 'admin')) return as ?? name;
  throw new FarmError('Forbidden', `The token "${name}" has the role ${role}, and ${asked} asks for the role admin.`);
}

/** @throws TooManyRequests */
async function refuseFlood(
  { redis, limits, owners }: Pick<BuildHandlersOptions, 'redis' | 'limits' | 'owners'>,
  owner: string,
): Promise<void> {
  const living = await countLivingLayerBuilds(redis);
  if (living >= limits.layers) {
    const message = `${living} layers wait or are being built already, and the limit of the farm is ${limits.layers}.`;
    throw new FarmError('TooManyRequests', message);
  }
  const { layers } = termsOf(owners, owner);
  const own = layers === undefined ? 0 : await countLayersOf(redis, owner);
  if (layers === undefined || own < layers) return;
  const message = `${own} layers of "${owner}" wait or are being built already, and its quota is ${layers}.`;
  throw new FarmError('TooManyRequests', message);
}

async function view(
  redis: Redis,
  id: string,
  { from = 0, limit }: { readonly from?: number | undefined; readonly limit: number },
): Promise<BuildView> {
  // Read first: later events may be repeated, but are never missed.
  const lastEventId = await readLastEventId(redis, id);
  const { build, layerBuilds, next } = await loadPageOfBuild(redis, id, { from, limit });
  return buildView(build, layerBuilds, { lastEventId, next });
}

/** Only while the machine may run: clusters are not asked about ended machines. */
async function live(
  { liveScreenshot }: BuildHandlersOptions,
  stored: StoredLayerBuild,
  vm: string,
): Promise<Buffer | null> {
  if (stored.state !== 'running' && stored.state !== 'stopping') return null;
  return liveScreenshot(stored.cluster, { layerBuild: stored.id, generation: stored.generation, vm });
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
