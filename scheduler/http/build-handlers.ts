import { writeCursor } from '../../common/contracts/api/parameters.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readFarmTime } from '../../common/redis/admission-queue.ts';
import { readWaitingLayerBuilds } from '../../common/redis/handbuilds.ts';
import { readScreenshot, type StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { cancelBuild } from '../../common/redis/submissions.ts';
import { findBuilds } from '../builds/find-builds.ts';
import { buildSummary } from '../builds/views.ts';
import { audit } from './audit.ts';
import { type ExplainOptions, explainWaiting } from './explain-waiting.ts';
import type { Handlers } from './handler.ts';
import { layerBuildsWithVm, loadBuild, noSuchVm, readBuildView } from './layer-builds.ts';

/** Dependencies of the handlers. */
export interface BuildHandlersOptions extends ExplainOptions {
  /** The screen of a VM as it is now (PNG); null when it does not run. */
  liveScreenshot(cluster: string, vm: { layerBuild: string; generation: number; vm: string }): Promise<Buffer | null>;
}

/** Builds as they are, and their screens. */
export function buildHandlers(options: BuildHandlersOptions) {
  const { redis } = options;
  return {
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
      return { status: 200, body: await readBuildView(redis, id, { from, limit }) };
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

/** Only while the machine may run: clusters are not asked about ended machines. */
async function live(
  { liveScreenshot }: BuildHandlersOptions,
  stored: StoredLayerBuild,
  vm: string,
): Promise<Buffer | null> {
  if (stored.state !== 'running' && stored.state !== 'stopping') return null;
  return liveScreenshot(stored.cluster, { layerBuild: stored.id, generation: stored.generation, vm });
}
