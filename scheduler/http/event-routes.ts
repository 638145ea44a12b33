import { type RequestHandler, Router } from 'express';
import { eventsHeadersSchema, eventsQuerySchema } from '../../common/contracts/api/parameters.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readBuild } from '../../common/redis/builds.ts';
import { readEvents, readPastEvents } from '../../common/redis/event-streams.ts';
import { type ServerSentEvent, type StreamOptions, sendEvents } from './server-sent-events.ts';

/** `GET /builds/:id/events` and `/logs`; the stream ends after `build-finished`. */
export function eventRoutes(options: StreamOptions): Router {
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
  options: StreamOptions,
  isWanted: (event: StoredEvent) => boolean,
): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const buildId = request.params.id;
    const { follow } = eventsQuerySchema.parse(request.query);
    const position = { buildId, lastEventId: eventsHeadersSchema.parse(request.headers)['last-event-id'] };
    if (!(await readBuild(options.redis, buildId))) throw new FarmError('NotFound', `There is no build "${buildId}".`);
    await sendEvents(response, options, {
      follow,
      source: {
        past: (redis) => wanted(readPastEvents(redis, position), isWanted),
        live: (listener, signal) => wanted(readEvents(listener, position, signal), isWanted),
      },
    });
  };
}

async function* wanted<T extends StoredEvent | null>(
  events: AsyncIterable<T>,
  isWanted: (event: StoredEvent) => boolean,
): AsyncGenerator<ServerSentEvent | Extract<T, null>> {
  for await (const event of events) {
    if (event === null) yield event as Extract<T, null>;
    else if (isWanted(event)) yield sent(event);
  }
}

function sent({ id, ...data }: StoredEvent): ServerSentEvent {
  return { id, data };
}
