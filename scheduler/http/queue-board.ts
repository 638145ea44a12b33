import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Router } from 'express';
import { jobReferenceSchema } from '../../common/contracts/phases.ts';
import type { PhaseQueues } from '../dispatch/queues.ts';

/** bull-board over all queues, for looking only. Of a job it shows the reference and nothing else. */
export function queueBoard(queues: PhaseQueues, path: string): Router {
  const serverAdapter = new ExpressAdapter();
  serverAdapter.setBasePath(path);
  const adapters = queues.all.map((queue) => {
    const adapter = new BullMQAdapter(queue, { readOnlyMode: true });
    adapter.setFormatter('data', (data) => jobReferenceSchema.safeParse(data).data ?? {});
    adapter.setFormatter('returnValue', () => null);
    return adapter;
  });
  createBullBoard({ queues: adapters, serverAdapter });
  return serverAdapter.getRouter();
}
