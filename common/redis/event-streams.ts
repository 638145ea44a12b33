import type { Redis } from 'ioredis';
import { farmEventSchema, type StoredEvent } from '../contracts/events.ts';
import { readResults } from './builds.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Ends a blocking read now and then, so that a connection that is dead in silence is noticed. */
const BLOCK_MS = 15_000;
const COUNT = 500;

/** Of which build, and after which event; `0`: from the first. */
interface EventPosition {
  readonly buildId: string;
  readonly lastEventId: string;
}

/**
 * The events of a build after `lastEventId`, live, until `build-finished`, or the end of `signal`. Needs a connection of its
 * own (role `listener`): it is blocked while waiting. Null says that nothing came for a while. @throws RedisUnavailable
 */
export async function* readEvents(
  redis: Redis,
  { buildId, lastEventId }: EventPosition,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent | null> {
  let after = lastEventId;
  while (!signal.aborted) {
    const reply = await readRedis(
      redis.xread('COUNT', COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', KEYS.buildEvents(buildId), after),
    );
    const entries = reply?.[0]?.[1] ?? [];
    for (const entry of entries) {
      after = entry[0];
      const event = await readEvent(redis, buildId, entry);
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
  { buildId, lastEventId }: EventPosition,
): AsyncGenerator<StoredEvent> {
  for (let after = lastEventId; ; ) {
    const entries = await readRedis(redis.xrange(KEYS.buildEvents(buildId), `(${after}`, '+', 'COUNT', COUNT));
    for (const entry of entries) yield await readEvent(redis, buildId, entry);
    if (entries.length < COUNT) return;
    after = entries.at(-1)?.[0] ?? after;
  }
}

/** The time of an event is that of its id: the clock of the Redis server. What an entry holds is said in `scripts/include`. */
async function readEvent(redis: Redis, buildId: string, [id, fields]: [string, string[]]): Promise<StoredEvent> {
  const { event, ...replaced } = Object.fromEntries(pairs(fields));
  const told = { ...JSON.parse(event ?? ''), ...mapValues(replaced, (json) => JSON.parse(json)) };
  // They are as many as the build has modules, and stand in one place only.
  if (told.event === 'build-finished') told.modules = await readResults(redis, buildId);
  return { ...farmEventSchema.parse(told), id, time: new Date(Number(id.split('-')[0])).toISOString() };
}

function pairs(fields: readonly string[]): [string, string][] {
  return fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1] ?? '']] : []));
}

function mapValues<T>(values: Readonly<Record<string, string>>, map: (value: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}
