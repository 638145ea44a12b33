import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { AppViewRoute } from '@bull-board/api/typings/app';
import { ExpressAdapter } from '@bull-board/express';
import type { Queue } from 'bullmq';
import { type RequestHandler, Router } from 'express';
import { jobReferenceSchema } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { redisUnavailable } from '../../common/redis/scripts.ts';
import type { PhaseQueues } from '../dispatch/queues.ts';

/** Links of a page to style sheets, fonts and the like of other hosts. */
const FOREIGN_LINK = /<link\b[^>]*\bhref=["']?(?:https?:)?\/\/[^>]*>/gi;

/** bull-board over all queues, read-only. It shows only the reference of a job. */
export function queueBoard(queues: PhaseQueues, path: string): Router {
  const serverAdapter = new LocalAdapter();
  serverAdapter.setBasePath(path);
  const board = createBullBoard({ queues: [], serverAdapter });
  // Clusters come and go.
  const showAll: RequestHandler = (_request, _response, next) => {
    board.replaceQueues(queues.all.map(adapterOf));
    next();
  };
  return Router().use(forLookingOnly, showAll, serverAdapter.getRouter());
}

function adapterOf(queue: Queue): BullMQAdapter {
  const adapter = new BullMQAdapter(queue, { readOnlyMode: true, externalJobUrl: linkOf });
  adapter.setFormatter('data', (data) => jobReferenceSchema.safeParse(data).data ?? {});
  adapter.setFormatter('returnValue', () => null);
  return adapter;
}

/** Link to a job's phase in the console; jobs of others have none. */
function linkOf({ data }: { readonly data?: unknown }) {
  const job = jobReferenceSchema.safeParse(data).data;
  const href = job ? `/layer-builds/${job.layerBuild}?${new URLSearchParams({ vm: job.vm, phase: job.phase })}` : '/';
  return { displayText: 'Show it in the console', href };
}

const forLookingOnly: RequestHandler = ({ method }, _response, next) => {
  if (method === 'GET' || method === 'HEAD') return next();
  throw new FarmError('Forbidden', 'The queue board is read-only.', {
    details: { solve: 'Cancel builds with the web console, `slipway cancel` or the API.' },
  });
};

/** bull-board's page asks a web font of another host: here it is drawn with the fonts of the system. */
class LocalAdapter extends ExpressAdapter {
  constructor() {
    super();
    this.app.disable('x-powered-by');
  }

  /** Its own answer contains the error of the Redis client, and a stack. Reading Redis is all that can fail here. */
  override setErrorHandler(): this {
    return super.setErrorHandler((error) => ({ status: 500, body: { error: redisUnavailable(error).message } }));
  }

  override setEntryRoute({ method, route, handler }: AppViewRoute): ExpressAdapter {
    this.app[method](route, (_request, response, next) => {
      const { name, params } = handler({ basePath: this.basePath, uiConfig: this.uiConfig });
      response.render(name, params, (error: unknown, html?: string) => {
        if (error || html === undefined) return next(error);
        response.send(html.replace(FOREIGN_LINK, ''));
      });
    });
    return this;
  }
}
