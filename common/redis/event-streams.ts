import type { Redis } from 'ioredis';
import { farmEventSchema, type StoredEvent } from '../contracts/events.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Ends a blocking read now and then, so that a connection that is dead in silence is noticed. */
const BLOCK_MS = 15_000;
const COUNT = 500;

/**
 * The events of a build after `lastEventId` (`0`: from the first), live, until `build-finished`, or the end of `signal`.
 * Needs a connection of its own (role `listener`): it is blocked while waiting. Null says that nothing came for a while.
 * @throws RedisUnavailable
 */
export async function* readEvents(
  redis: Redis,
  { buildId, lastEventId }: { readonly buildId: string; readonly lastEventId: string },
  signal: AbortSignal,
): AsyncGenerator<StoredEvent | null> {
  let after = lastEventId;
  while (!signal.aborted) {
    const reply = await readRedis(
      redis.xread('COUNT', COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', KEYS.buildEvents(buildId), after),
    );
    const entries = reply?.[0]?.[1] ?? [];
    for (const [id, fields] of entries) {
      after = id;
      const event = readEvent(id, fields);
      yield event;
      if (event.event === 'build-finished') return;
    }
    if (entries.length === 0) yield null;
  }
}

/** Id of the newest event of a build; `0` when there is none. @throws RedisUnavailable */
export async function readLastEventId(redis: Redis, buildId: string): Promise<string> {
  const [newest] = await readRedis(redis.xrevrange(KEYS.buildEvents(buildId), '+', '-', 'COUNT', 1));
  return newest?.[0] ?? '0';
}

/** The events of a build after `lastEventId` up to now, on any connection. @throws RedisUnavailable */
export async function* readPastEvents(
  redis: Redis,
  { buildId, lastEventId }: { readonly buildId: string; readonly lastEventId: string },
): AsyncGenerator<StoredEvent> {
  for (let after = lastEventId; ; ) {
    const entries = await readRedis(redis.xrange(KEYS.buildEvents(buildId), `(${after}`, '+', 'COUNT', COUNT));
    for (const [id, fields] of entries) yield readEvent(id, fields);
    if (entries.length < COUNT) return;
    after = entries.at(-1)?.[0] ?? after;
  }
}

/** The time of an event is that of its id: the clock of the Redis server. */
function readEvent(id: string, fields: readonly string[]): StoredEvent {
  const event = farmEventSchema.parse(JSON.parse(fields[fields.indexOf('event') + 1] ?? ''));
  return { ...event, id, time: new Date(Number(id.split('-')[0])).toISOString() };
}
