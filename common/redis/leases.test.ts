import { expect, test } from 'vitest';
import { startRedis } from '../../test/harness/redis-server.ts';
import { systemClock } from '../clock/clock.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { useRedis } from './connections.ts';
import { holdLease } from './leases.ts';

test('one process holds a lease at a time, and the next one has it when it is given back', async () => {
  await using resources = new ReleaseStack();
  const server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  const logger = createLogger({ name: 'test', level: 'silent' });
  const redis = await useRedis(resources, { url: server.url, logger }, 'producer');
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
  // Another process took it by force: the loser is told.
  await redis.set('{farm}:lease:test', 'c');
  await expect.poll(() => holders.size).toBe(0);
  second.abort();
  await Promise.all(running);
  expect(await redis.get('{farm}:lease:test')).toBe('c');
});
