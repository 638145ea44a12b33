import { Router } from 'express';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { jobId, PHASES, type Phase, phaseSchema, queueName } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readLayerBuild, readLayerBuildPlace } from '../../common/redis/layer-builds.ts';
import type { PhaseQueues } from '../dispatch/queues.ts';

const querySchema = z.object({ vm: z.string().max(63), phase: phaseSchema.optional() });

interface LinkOptions {
  readonly redis: Redis;
  readonly queues: Pick<PhaseQueues, 'remembers'>;
}

/**
 * Leads from a layer build, which is all that jobs and objects on clusters name, to its module and the log of its VM in the
 * console; and from a VM there to its newest job on bull-board, which is at `board`.
 */
export function layerBuildLinks({ redis, queues }: LinkOptions, board: string): Router {
  return Router()
    .get('/layer-builds/:id', async ({ params: { id }, query }, response) => {
      const place = await readLayerBuildPlace(redis, id);
      if (!place) throw forgotten(id);
      const { build, module } = place;
      const { vm, phase } = querySchema.safeParse(query).data ?? {};
      const shown = new URLSearchParams({
        module,
        ...(vm === undefined ? {} : { log: `${module}/${vm}` }),
        ...(phase === undefined ? {} : { part: phase }),
      });
      response.redirect(302, `/builds/${encodeURIComponent(build)}?${shown}`);
    })
    .get('/layer-builds/:id/vms/:vm/job', async ({ params: { id, vm } }, response) => {
      const stored = await readLayerBuild(redis, id);
      if (!stored) throw forgotten(id);
      const { cluster, generation, phases } = stored;
      const dispatchOf = (phase: Phase) => phases.get(`${vm}/${phase}`)?.dispatch ?? 0;
      const phase = PHASES.findLast((each) => dispatchOf(each) > 0);
      if (!phase) throw new FarmError('NotFound', `No phase of VM "${vm}" has been queued.`);
      const reference = { layerBuild: id, generation, vm, phase, dispatch: dispatchOf(phase) };
      const queue = `${board}/queue/${encodeURIComponent(queueName(phase, cluster))}`;
      // Queues remember the jobs that ended last.
      const isThere = await queues.remembers({ reference, cluster });
      response.redirect(302, isThere ? `${queue}/${encodeURIComponent(jobId(reference))}` : queue);
    });
}

function forgotten(id: string): FarmError {
  return new FarmError('NotFound', `Layer build "${id}" not found.`);
}
