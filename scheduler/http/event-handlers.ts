import type { StoredEvent } from '../../common/contracts/events.ts';
import { isBuild } from '../../common/redis/builds.ts';
import { readEvents, readPastEvents } from '../../common/redis/event-streams.ts';
import type { Call, Handlers } from './handler.ts';
import { noSuchBuild } from './layer-builds.ts';
import { type ServerSentEvent, type StreamOptions, sendEvents } from './server-sent-events.ts';

/** Events and log lines of builds; a stream ends after `build-finished`. */
export function eventHandlers(options: StreamOptions) {
  return {
    streamEvents: (call) => streamEvents(options, call, () => true),
    streamLogs: (call) => streamEvents(options, call, ({ event }) => event === 'log' || event === 'build-finished'),
  } satisfies Partial<Handlers>;
}

async function streamEvents(
  options: StreamOptions,
  {
    params: { id: buildId },
    query: { follow },
    headers,
    response,
  }: Pick<Call<'streamEvents'>, 'params' | 'query' | 'headers' | 'response'>,
  isSelected: (event: StoredEvent) => boolean,
): Promise<undefined> {
  const position = { buildId, lastEventId: headers['last-event-id'] };
  if (!(await isBuild(options.redis, buildId))) noSuchBuild(buildId);
  await sendEvents(response, options, {
    follow,
    source: {
      past: (redis) => selected(readPastEvents(redis, position), isSelected),
      live: (listener, signal) => selected(readEvents(listener, position, signal), isSelected),
    },
  });
}

async function* selected<T extends StoredEvent | null>(
  events: AsyncIterable<T>,
  isSelected: (event: StoredEvent) => boolean,
): AsyncGenerator<ServerSentEvent | Extract<T, null>> {
  for await (const event of events) {
    if (event === null) yield event as Extract<T, null>;
    else if (isSelected(event)) yield sent(event);
  }
}

function sent({ id, ...data }: StoredEvent): ServerSentEvent {
  return { id, data };
}
