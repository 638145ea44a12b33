import type { Redis } from 'ioredis';
import { z } from 'zod';
import { outcomeSchema } from '../contracts/events.ts';
import { phaseSchema } from '../contracts/phases.ts';
import type { Wake } from '../lifecycle/look-again.ts';
import type { Logger } from '../logging/logger.ts';
import { KEYS } from './keys.ts';

const layerBuild = { layerBuild: z.string() };

/** Immediate notices between processes of the farm. A notice may be lost: receivers also check the state at intervals. */
export const noticeSchema = z.discriminatedUnion('kind', [
  /** A cluster may have something to dispatch. */
  z.object({ kind: z.literal('wake'), cluster: z.string() }),
  /** Machines of a cluster may give up their slots. */
  z.object({ kind: z.literal('leaving'), cluster: z.string() }),
  /** Executors of a layer build must stop. */
  z.object({ kind: z.literal('stop'), ...layerBuild, generation: z.int() }),
  /** Another worker has taken over a running phase. */
  z.object({
    kind: z.literal('claimed'),
    ...layerBuild,
    generation: z.int(),
    vm: z.string(),
    phase: phaseSchema,
  }),
  /** A long task has been begun and is to be continued. */
  z.object({ kind: z.literal('tasks') }),
  /** The next deadline is sooner than it was. */
  z.object({ kind: z.literal('deadline') }),
  /** A layer build has ended, or starts again (`again`). */
  z.object({
    kind: z.literal('ended'),
    ...layerBuild,
    cluster: z.string(),
    outcome: z.union([outcomeSchema, z.literal('again')]),
    durationMs: z.number(),
  }),
  z.object({ kind: z.literal('finished'), buildId: z.string(), outcome: outcomeSchema }),
  /** A step of a VM begins to wait for a person, or waits no more. */
  z.object({ kind: z.literal('handbuild'), ...layerBuild, vm: z.string() }),
  /** The console of a machine has another owner; empty: none. */
  z.object({ kind: z.literal('console'), machine: z.string(), owner: z.string() }),
  /** A token was revoked. */
  z.object({ kind: z.literal('revoked'), token: z.string() }),
  /** A layer was registered. */
  z.object({ kind: z.literal('layer'), layerKey: z.string(), cluster: z.string() }),
]);

export type Notice = z.infer<typeof noticeSchema>;

/** Hears a notice, or `reconnected`: notices may have been missed, look at everything again. */
export type NoticeListener = (notice: Notice | { readonly kind: 'reconnected' }) => void;

/** The subscription of a process to the farm's notices. */
export interface Notices {
  /** Returns how to stop listening. */
  listen(listener: NoticeListener): () => void;
}

/** Wakes a loop at notices that concern it, and whenever some may have been missed. */
export function atNotices(notices: Notices, concerns: (notice: Notice) => boolean): Wake {
  return (ring, signal) => {
    const stop = notices.listen((notice) => {
      if (notice.kind === 'reconnected' || concerns(notice)) ring();
    });
    signal.addEventListener('abort', stop, { once: true });
  };
}

/** Subscribes on a connection of its own (role `listener`); resolves when notices arrive. */
export async function subscribeNotices(redis: Redis, logger: Logger): Promise<Notices> {
  const listeners = new Set<NoticeListener>();
  const deliver = (notice: Parameters<NoticeListener>[0]) => {
    for (const listener of [...listeners]) {
      try {
        listener(notice);
      } catch (error) {
        logger.error({ err: error, kind: notice.kind }, 'A listener to notices failed');
      }
    }
  };
  redis.on('message', (_channel: string, text: string) => {
    const notice = noticeSchema.safeParse(JSON.parse(text));
    if (notice.success) deliver(notice.data);
  });
  await redis.subscribe(KEYS.notices);
  // ioredis subscribes again by itself; `ready` comes before that, so the subscription is asked for again.
  redis.on('ready', () => {
    redis.subscribe(KEYS.notices).then(
      () => deliver({ kind: 'reconnected' }),
      (error: unknown) => logger.warn({ err: error }, 'Subscribing to notices failed'),
    );
  });
  return {
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
