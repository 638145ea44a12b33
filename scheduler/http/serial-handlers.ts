import type { Redis } from 'ioredis';
import type { SerialPiece } from '../../common/contracts/serial.ts';
import { readLayerBuildState } from '../../common/redis/layer-builds.ts';
import { followSerial, readSerial, type SerialPosition } from '../../common/redis/serial-logs.ts';
import type { Handlers } from './handler.ts';
import { layerBuildsWithVm, noSuchVm, onlyLayerBuild } from './layer-builds.ts';
import { type ServerSentEvent, type StreamOptions, sendEvents } from './server-sent-events.ts';

/** The serial output of a machine, until its layer build has ended. */
export function serialHandlers(options: StreamOptions) {
  return {
    async streamSerial({ params: { id, vm }, query: { layerBuild, follow }, headers, response }) {
      const stored = onlyLayerBuild(await layerBuildsWithVm(options.redis, { id, vm, layerBuild }), vm);
      if (!stored) throw noSuchVm(id, vm);
      const position = { layerBuild: stored.id, vm, lastId: headers['last-event-id'] };
      await sendEvents(response, options, {
        follow,
        source: {
          past: (redis) => kept(redis, position),
          live: (listener, signal) => live({ redis: options.redis, listener }, position, signal),
        },
      });
    },
  } satisfies Partial<Handlers>;
}

async function* kept(redis: Redis, position: SerialPosition): AsyncGenerator<ServerSentEvent> {
  for (const piece of await readSerial(redis, position)) yield sent(piece);
}

/** The last piece is sent also for a machine without output. */
async function* live(
  { redis, listener }: { readonly redis: Redis; readonly listener: Redis },
  position: SerialPosition,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent | null> {
  const hasEnded = async () => (await readLayerBuildState(redis, position.layerBuild))?.finishedAt !== null;
  if (await hasEnded()) {
    let lastId = position.lastId;
    for (const piece of await readSerial(redis, position)) {
      lastId = piece.id;
      yield sent(piece);
      if (piece.ended) return;
    }
    return yield end(lastId);
  }
  let lastId = position.lastId;
  for await (const piece of followSerial(listener, position, signal)) {
    if (piece === null && (await hasEnded())) return yield end(lastId);
    lastId = piece?.id ?? lastId;
    yield piece && sent(piece);
  }
}

function end(id: string): ServerSentEvent {
  return sent({ id, time: new Date().toISOString(), lines: [], ended: true });
}

function sent({ id, ...data }: SerialPiece): ServerSentEvent {
  return { id, data };
}
