import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type RedisServer, startRedis } from '../../test/harness/redis-server.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { useRedis } from './connections.ts';
import { readFarmId } from './farm-id.ts';
import { KEYS } from './keys.ts';

const resources = new ReleaseStack();
let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  redis = await useRedis(
    resources,
    { url: server.url, logger: createLogger({ name: 'test', level: 'silent' }) },
    'producer',
  );
});
beforeEach(() => redis.flushall());
afterAll(() => resources[Symbol.asyncDispose]());

test('all processes of a farm read one id, and another farm of its name has another', async () => {
  const ids = await Promise.all(Array.from({ length: 20 }, () => readFarmId(redis, { name: 'farm' })));
  expect(new Set(ids).size).toBe(1);
  expect(ids[0]).toMatch(/^farm-[0-9a-f]{10}$/);
  await redis.flushall();
  expect(await readFarmId(redis, { name: 'farm' })).not.toBe(ids[0]);
});

test('a farm from before there were ids keeps the label of its objects', async () => {
  await redis.zadd(KEYS.builds, 1, '01J1');
  expect(await readFarmId(redis, { name: 'farm' })).toBe('farm');
});

test('a farm whose Redis was lost takes its former id over, and never that of another', async () => {
  expect(await readFarmId(redis, { name: 'farm', id: 'farm-0123456789' })).toBe('farm-0123456789');
  expect(await readFarmId(redis, { name: 'farm' })).toBe('farm-0123456789');
  await expect(readFarmId(redis, { name: 'farm', id: 'other' })).rejects.toMatchObject({
    code: 'InvalidConfig',
    details: { solve: expect.stringContaining('farm.id to "farm-0123456789"') },
  });
});
