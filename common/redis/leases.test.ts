import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RedisServer, startRedis } from '../../test/harness/redis-server.ts';
import { systemClock } from '../clock/clock.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { useRedis } from './connections.ts';
import { holdLease } from './leases.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const resources = new ReleaseStack();
let server: RedisServer;

beforeAll(async () => {
  server = await startRedis();
  resources.defer('redis-server', () => server.stop());
});
afterAll(() => resources.close());

const open = () => useRedis(resources, { url: server.url, logger }, 'producer');

test('one process holds a lease at a time, and the next one has it when it is given back', async () => {
  const redis = await open();
  // The real pauses between attempts are too long for a test.
  const clock = { now: systemClock.now, after: (_ms: number, signal?: AbortSignal) => systemClock.after(5, signal) };
  const holders = new Set<string>();
  const history: string[] = [];
  const compete = (owner: string, signal: AbortSignal) =>
    holdLease(
      { redis, clock, logger, name: 'test', owner },
      async (term) => {
        holders.add(owner);
        history.push([...holders].join());
        await new Promise((resolve) => term.addEventListener('abort', resolve, { once: true }));
        holders.delete(owner);
      },
      signal,
    );
  const [first, second] = [new AbortController(), new AbortController()];
  const running = [compete('a', first.signal)];
  await expect.poll(() => history).toEqual(['a']);
  running.push(compete('b', second.signal));
  first.abort();
  await expect.poll(() => history).toEqual(['a', 'b']);
  // Another process took it by force: the loser is notified.
  await redis.set('{farm}:lease:test', 'c');
  await expect.poll(() => holders.size).toBe(0);
  second.abort();
  await Promise.all(running);
  expect(await redis.get('{farm}:lease:test')).toBe('c');
});

test('another process has the lease within 5 s of the death of the one that held it', async () => {
  const [redis, other] = [await open(), await open()];
  const stop = new AbortController();
  const running: Promise<void>[] = [];
  const waits: number[] = [];
  const clock = {
    now: systemClock.now,
    after: (ms: number, signal?: AbortSignal) => {
      waits.push(ms);
      return systemClock.after(ms, signal);
    },
  };
  const holds = (owner: string, connection: typeof redis) =>
    new Promise<void>((resolve) => {
      const hold = async (term: AbortSignal) => {
        resolve();
        await new Promise((ended) => term.addEventListener('abort', ended, { once: true }));
      };
      const options = { redis: connection, clock, logger, name: 'death', owner };
      running.push(holdLease(options, hold, stop.signal));
    });
  await holds('dead', redis);
  const succeeded = holds('successor', other);
  redis.disconnect();
  await succeeded;
  // It asks as soon as the other has not renewed it.
  expect(Math.max(...waits)).toBeLessThanOrEqual(4_000);
  stop.abort();
  await Promise.all(running);
});
