import { type RequestHandler, type Response, Router } from 'express';
import type { Redis } from 'ioredis';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readBuild } from '../../common/redis/builds.ts';
import { readEvents, readPastEvents } from '../../common/redis/event-streams.ts';
import { eventsHeadersSchema, eventsQuerySchema } from './requests.ts';

/** What the routes read from. */
export interface EventRoutesOptions {
  readonly redis: Redis;
  /** A connection of one's own for blocking reads; the caller closes it. */
  openListener(): Promise<Redis>;
  /** Counts an answer that lasts until it is closed. @throws TooManyRequests */
  admit(response: Response): void;
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
  { redis, openListener, admit }: EventRoutesOptions,
  isWanted: (event: StoredEvent) => boolean,
): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const buildId = request.params.id;
    const { follow } = eventsQuerySchema.parse(request.query);
    const position = { buildId, lastEventId: eventsHeadersSchema.parse(request.headers)['last-event-id'] };
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    if (!(await readBuild(redis, buildId))) throw new FarmError('NotFound', `There is no build "${buildId}".`);
    if (follow) admit(response);
    const listener = follow ? await openListener() : undefined;
    // Ends the blocking read too: it fails when its connection is cut.
    const leave = () => listener?.disconnect();
    response.on('close', leave);
    if (gone.signal.aborted) return leave();
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    const events = listener ? readEvents(listener, position, gone.signal) : readPastEvents(redis, position);
    try {
      for await (const event of events) {
        if (event && !isWanted(event)) continue;
        // A comment tells a dead connection from a silent one.
        const flowing = response.write(event ? format(event) : ':\n\n');
        if (!flowing) await drained(response, gone.signal);
        if (gone.signal.aborted) return;
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
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    response.once('drain', resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
