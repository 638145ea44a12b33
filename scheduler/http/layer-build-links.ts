import { Router } from 'express';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { phaseSchema } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readLayerBuildPlace } from '../../common/redis/builds.ts';

const querySchema = z.object({ vm: z.string().max(63), phase: phaseSchema.optional() });

/** Leads from a layer build, which is all that jobs and objects on clusters name, to its module and the log of its VM in the console. */
export function layerBuildLinks({ redis }: { readonly redis: Redis }): Router {
  return Router().get('/layer-builds/:id', async ({ params: { id }, query }, response) => {
    const place = await readLayerBuildPlace(redis, id);
    if (!place) throw new FarmError('NotFound', `The farm does not remember the layer build "${id}".`);
    const { build, module } = place;
    const { vm, phase } = querySchema.safeParse(query).data ?? {};
    const shown = new URLSearchParams({
      module,
      ...(vm === undefined ? {} : { log: `${module}/${vm}` }),
      ...(phase === undefined ? {} : { part: phase }),
    });
    response.redirect(302, `/builds/${encodeURIComponent(build)}?${shown}`);
  });
}
