import { expect, test } from 'vitest';
import type { FarmState } from '../../test/harness/farm-state.ts';
import { openLossyRedis } from '../../test/harness/lossy-redis.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { assertRedisFit, useRedis } from './connections.ts';

let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

test('the server is what the farm needs, and one that may evict is refused', async () => {
  const { redis } = farm;
  await assertRedisFit(redis);
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await expect(assertRedisFit(redis)).rejects.toThrow('its maxmemory-policy is "allkeys-lru"');
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  await redis.config('SET', 'appendonly', 'no');
  await expect(assertRedisFit(redis)).rejects.toThrow('has no append-only file');
  await assertRedisFit(redis, { appendOnly: 'optional' });
});

test('a server that answers nothing any more is left for the one that is there then', { timeout: 60_000 }, async () => {
  await using resources = new ReleaseStack();
  const way = await openLossyRedis(resources, farm.server.url);
  const logger = createLogger({ name: 'test', level: 'silent' });
  const redis = await useRedis(resources, { url: way.url, logger }, 'listener');
  way.hang();
  expect([await redis.ping(), way.connections]).toEqual(['PONG', 2]);
});
