import { type RequestHandler, Router } from 'express';
import type { Redis } from 'ioredis';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readBuild } from '../../common/redis/builds.ts';
import { readEvents } from '../../common/redis/event-streams.ts';

/** What the routes read from. */
export interface EventRoutesOptions {
  readonly redis: Redis;
  /** A connection of one's own for blocking reads; the caller closes it. */
  openListener(): Promise<Redis>;
}

/**
 * `GET /builds/:id/events` and `/logs`: server-sent events (WHATWG HTML, section 9.2) whose `id` is that of the stream, so
 * that a client goes on where it was cut by `Last-Event-ID`. The stream ends after `build-finished`.
 */
export function eventRoutes(options: EventRoutesOptions): Router {
  const router = Router();
  router.get(
    '/builds/:id/events',
    streamEvents(options, () => true),
  );
  router.get(
    '/builds/:id/logs',
    streamEvents(options, ({ event }) => event === 'log' || event === 'build-finished'),
  );
  return router;
}

function streamEvents(
  { redis, openListener }: EventRoutesOptions,
  isWanted: (event: StoredEvent) => boolean,
): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const buildId = request.params.id;
    const lastEventId = request.get('last-event-id') ?? '0';
    if (!/^\d+(-\d+)?$/.test(lastEventId))
      throw new FarmError('InvalidRequest', `"${lastEventId}" is no id of an event.`);
    if (!(await readBuild(redis, buildId))) throw new FarmError('NotFound', `There is no build "${buildId}".`);
    const gone = new AbortController();
    const listener = await openListener();
    // Ends the blocking read too: it fails when its connection is cut.
    const leave = () => {
      gone.abort();
      listener.disconnect();
    };
    response.on('close', leave);
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    try {
      for await (const event of readEvents(listener, { buildId, lastEventId }, gone.signal)) {
        if (event && !isWanted(event)) continue;
        // A comment tells a dead connection from a silent one.
        const flowing = response.write(event ? format(event) : ':\n\n');
        if (!flowing) await drained(response, gone.signal);
      }
    } catch (error) {
      if (!gone.signal.aborted) throw error;
    } finally {
      leave();
      response.end();
    }
  };
}

function format({ id, ...event }: StoredEvent): string {
  return `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** A client that reads slowly slows its own stream, not the memory of the farm. */
async function drained(response: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    response.once('drain', resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
