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
 * own (role `listener`): it is blocked while waiting. Null: no event for a while. @throws RedisUnavailable
 */
export async function* readEvents(
  redis: Redis,
  { buildId, lastEventId }: EventPosition,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent | null> {
  const gaps = new Gaps(redis);
  let after = entryBefore(lastEventId);
  while (!signal.aborted) {
    const reply = await readRedis(
      redis.xread('COUNT', COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', KEYS.buildEvents(buildId), after),
    );
    const entries = reply?.[0]?.[1] ?? [];
    for (const entry of entries) {
      after = entry[0];
      for (const event of await readEntry(redis, { buildId, lastEventId, gaps }, entry)) {
        yield event;
        if (event.event === 'build-finished') return;
      }
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
  const gaps = new Gaps(redis);
  for (let after = entryBefore(lastEventId); ; ) {
    const entries = await readRedis(redis.xrange(KEYS.buildEvents(buildId), `(${after}`, '+', 'COUNT', COUNT));
    for (const entry of entries) yield* await readEntry(redis, { buildId, lastEventId, gaps }, entry);
    if (entries.length < COUNT) return;
    after = entries.at(-1)?.[0] ?? after;
  }
}

/** The events of an entry after `lastEventId`: one, or the lines of a log. The format of an entry is documented in `scripts/`. */
async function readEntry(
  redis: Redis,
  { buildId, lastEventId, gaps }: EventPosition & { readonly gaps: Gaps },
  [id, fields]: [string, string[]],
): Promise<StoredEvent[]> {
  const { event, kept, ...replaced } = Object.fromEntries(pairs(fields));
  const merged = { ...JSON.parse(event ?? ''), ...mapValues(replaced, (json) => JSON.parse(json)) };
  // They are as many as the build has modules, and are in one place only.
  if (merged.event === 'build-finished') merged.modules = await readResults(redis, buildId);
  // The time of an event is that of its id: the clock of the Redis server.
  const time = new Date(Number(id.split('-')[0])).toISOString();
  if (kept === undefined) return [{ ...farmEventSchema.parse(merged), id, time }];
  const { lines, ...where } = await gaps.readLines(JSON.parse(kept), merged.vm !== undefined);
  const events = lines.map((line, index) => ({
    ...farmEventSchema.parse({ ...where, ...merged, line }),
    id: `${id}/${index + 1}`,
    time,
  }));
  const [entry, line] = lastEventId.split('/');
  return entry === id ? events.slice(Number(line ?? Number.POSITIVE_INFINITY)) : events;
}

interface KeptLines {
  readonly lines: readonly string[];
}

/** Reads lines of logs, and puts one note in the place of missing lines. */
class Gaps {
  readonly #redis: Redis;
  readonly #removed = new Set<string>();
  #isOpen = false;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Those that an entry stands for. `namesPhase`: it names their phase; entries of older farms do not, and get no note. */
  async readLines(kept: string, namesPhase: boolean): Promise<KeptLines> {
    const [layerBuild = '', entry = ''] = kept.split(' ');
    const key = KEYS.layerBuildLog(layerBuild);
    const [found] = this.#removed.has(layerBuild) ? [] : await readRedis(this.#redis.xrange(key, entry, entry));
    if (found) {
      this.#isOpen = false;
      return JSON.parse(found[1][1] ?? '');
    }
    const isNoted = this.#removed.has(layerBuild) || this.#isOpen || !namesPhase;
    this.#isOpen = true;
    const isRemoved = !this.#removed.has(layerBuild) && (await readRedis(this.#redis.exists(key))) === 0;
    if (isRemoved) this.#removed.add(layerBuild);
    if (isNoted) return { lines: [] };
    return { ...BY_FARM, lines: [isRemoved ? LOG_REMOVED : LINES_LEFT_OUT] };
  }
}

const BY_FARM = { source: 'farm' };
const LOG_REMOVED = '[This log was removed to make room for newer ones (logs.total).]';
const LINES_LEFT_OUT = '[Lines are left out here: of a layer the last part of the log is kept (logs.layer).]';

/** After which entry to read on: behind a line of a log its own entry is read again. */
function entryBefore(lastEventId: string): string {
  const [entry = '0', line] = lastEventId.split('/');
  if (line === undefined) return entry;
  const [ms = '0', number = '0'] = entry.split('-');
  return number === '0' ? `${BigInt(ms) - 1n}-${LAST_NUMBER}` : `${ms}-${BigInt(number) - 1n}`;
}

const LAST_NUMBER = 2n ** 64n - 1n;

function pairs(fields: readonly string[]): [string, string][] {
  return fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1] ?? '']] : []));
}

function mapValues<T>(values: Readonly<Record<string, string>>, map: (value: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}
