import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { assertRedisFit } from './connections.ts';

let redis: Redis;
useFarmState((opened) => {
  ({ redis } = opened);
});

test('the server is what the farm needs, and one that may evict is refused', async () => {
  await assertRedisFit(redis);
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await expect(assertRedisFit(redis)).rejects.toThrow('its maxmemory-policy is "allkeys-lru"');
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  await redis.config('SET', 'appendonly', 'no');
  await expect(assertRedisFit(redis)).rejects.toThrow('has no append-only file');
  await assertRedisFit(redis, { appendOnly: 'optional' });
});
