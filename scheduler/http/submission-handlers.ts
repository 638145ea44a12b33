import type { Request } from 'express';
import type { OperationId } from '../../common/contracts/api/operations.ts';
import { MAX_PAGE } from '../../common/contracts/api/parameters.ts';
import { type Owners, type Priority, termsOf } from '../../common/contracts/owners.ts';
import { includesRole } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { readEvents } from '../../common/redis/event-streams.ts';
import { countLayersOf, countLivingLayerBuilds } from '../../common/redis/layer-builds.ts';
import type { Principal } from '../../common/redis/tokens.ts';
import type { BuildService } from '../builds/build-service.ts';
import { importRequest } from '../builds/import-module.ts';
import type { AcceptedBuild } from '../planning/plan-task.ts';
import { audit } from './audit.ts';
import type { Call, Handlers } from './handler.ts';
import { loadBuild, readBuildView } from './layer-builds.ts';
import type { HttpLimits } from './limits.ts';
import type { StreamOptions } from './server-sent-events.ts';

/** Dependencies of the handlers. */
export interface SubmissionHandlersOptions extends StreamOptions {
  readonly builds: BuildService;
  readonly owners: Owners;
  readonly metrics: FarmMetrics;
  readonly limits: Pick<HttpLimits, 'layers'>;
}

/** Submissions of builds, and plans of them. */
export function submissionHandlers(options: SubmissionHandlersOptions) {
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
      return { status: 200, body: await readBuildView(redis, buildId, { limit: MAX_PAGE }) };
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
  { redis, limits, owners }: Pick<SubmissionHandlersOptions, 'redis' | 'limits' | 'owners'>,
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
  const solve = 'Wait until some of them have ended, or raise `owners[].layers` in the configuration.';
  throw new FarmError('TooManyRequests', message, { details: { solve } });
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
