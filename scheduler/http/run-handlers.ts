import type { Redis } from 'ioredis';
import type { RunView } from '../../common/contracts/runs.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { readBuild } from '../../common/redis/builds.ts';
import { readLayerBuild, type StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { readRuns } from '../../common/redis/runs.ts';
import { readUsage } from '../../common/redis/slots.ts';
import type { BuildService } from '../builds/build-service.ts';
import { audit } from './audit.ts';
import type { Handlers } from './handler.ts';
import { imageShelf } from './image-views.ts';

/** Dependencies of the handlers. */
export interface RunHandlersOptions {
  readonly redis: Redis;
  readonly builds: Pick<BuildService, 'run'>;
}

/** Clones of images that run. Each is a build that makes no image: everything else of it is found there. */
export function runHandlers({ redis, builds }: RunHandlersOptions) {
  return {
    async runImage({ params, body: { ttl: ttlMs, sshKey = null }, who, response }) {
      const shelf = imageShelf(await readLayers(redis));
      const image = shelf.view(shelf.find(params.image));
      const { buildId } = await builds.run(image, { ttlMs, authorizedKey: sshKey, by: who.name });
      audit(response, { outcome: 'started', build: buildId, subject: `${image.module}:${image.version}` });
      response.location(`/api/v1/builds/${buildId}`);
      const view = await runView(redis, buildId);
      assert(view, 'A clone that was accepted a moment ago is remembered.');
      return { status: 202, body: view };
    },

    async listRuns() {
      const ids = await readRuns(redis);
      const views = await Promise.all(ids.map((id) => runView(redis, id)));
      const runs = views.filter((view) => view !== null).toSorted((a, b) => b.createdAt - a.createdAt);
      return { status: 200, body: { runs } };
    },
  } satisfies Partial<Handlers>;
}

/** Null when it was forgotten meanwhile. */
async function runView(redis: Redis, id: string): Promise<RunView | null> {
  const build = await readBuild(redis, id);
  const stored = await readLayerBuild(redis, build?.modules[0]?.layerBuild ?? '');
  const terms = stored?.spec.module.run;
  if (!build || !stored || !terms) return null;
  const { image, ttlMs } = terms;
  const { slots } = await readUsage(redis, stored.cluster);
  const runs = new Set(
    slots.flatMap((slot) => (slot.layerBuild === stored.id && slot.stage === 'runs' ? [slot.vm] : [])),
  );
  return {
    ...{ buildId: id, image, by: build.submittedBy, createdAt: build.createdAt, ttlMs },
    ...{ until: stored.runUntil, cluster: stored.cluster, layerBuild: stored.id },
    state: stateOf(stored),
    vms: stored.spec.vms.map(({ name }) => ({
      vm: name,
      isUp: runs.has(name),
      isOff: hasStarted(stored, name) && !runs.has(name),
    })),
  };
}

function stateOf(stored: StoredLayerBuild): RunView['state'] {
  if (stored.finishedAt !== null) return 'ended';
  if (stored.state === 'stopping') return 'stopping';
  return stored.spec.vms.every(({ name }) => hasStarted(stored, name)) ? 'running' : 'starting';
}

function hasStarted({ phases }: StoredLayerBuild, vm: string): boolean {
  return phases.get(`${vm}/boot-keystrokes`)?.state === 'succeeded';
}
