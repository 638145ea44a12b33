import { expect, test } from 'vitest';
import { startRedis } from '../../test/harness/redis-server.ts';
import { systemClock } from '../clock/clock.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { useRedis } from './connections.ts';
import { keepConsole, releaseConsole, takeConsole } from './console-leases.ts';
import { subscribeNotices } from './notices.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const holder = (owner: string, rank: number) => ({ owner, rank, address: `http://${owner}` });

test('a console belongs to the first viewer, until a worker types', async () => {
  await using resources = new ReleaseStack();
  const server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  const redis = await useRedis(resources, { url: server.url, logger }, 'producer');
  const reported: string[] = [];
  const notices = await subscribeNotices(await useRedis(resources, { url: server.url, logger }, 'listener'), logger);
  notices.listen((notice) => void (notice.kind === 'console' && reported.push(notice.owner)));
  const [first, second, typist, successor] = [holder('a', 0), holder('b', 0), holder('w1', 1), holder('w2', 2)];
  const take = async (who: typeof first) => (await takeConsole(redis, 'vm', who)).owner;

  expect(await take(first)).toBe('a');
  expect(await take(first)).toBe('a');
  expect(await takeConsole(redis, 'vm', second)).toEqual({ owner: 'a', address: 'http://a' });
  const kept = keepConsole(
    // The real pause between renewals is too long for a test.
    { redis, logger, clock: { now: systemClock.now, after: (_ms, signal) => systemClock.after(5, signal) } },
    { machine: 'vm', holder: first },
    AbortSignal.timeout(5_000),
  );
  expect(await take(typist)).toBe('w1');
  // The viewer is notified, and cannot have it back.
  await kept;
  expect(await take(first)).toBe('w1');
  await releaseConsole({ redis, logger }, 'vm', first);
  expect(await take(second)).toBe('w1');
  // A later claim passes an earlier one, never the other way.
  expect(await take(successor)).toBe('w2');
  expect(await take(typist)).toBe('w2');
  expect(await redis.pttl('{farm}:console:vm')).toBeGreaterThan(5_000);
  await releaseConsole({ redis, logger }, 'vm', successor);
  expect(await take(second)).toBe('b');
  await expect.poll(() => reported).toEqual(['a', 'w1', 'w2', '', 'b']);
  // Of another machine it reports nothing.
  expect((await takeConsole(redis, 'other', first)).owner).toBe('a');
});
