import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { assertRedisFit, useRedis } from './connections.ts';

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

test('a server that answers nothing any more is left for the one that is there then', { timeout: 60_000 }, async () => {
  await using resources = new ReleaseStack();
  const { host, port, password } = redis.options;
  const taken: Socket[] = [];
  const proxy = createServer((socket) => {
    taken.push(socket);
    const behind = connect(Number(port), host).on('error', () => {});
    socket
      .on('error', () => {})
      .pipe(behind)
      .pipe(socket);
  }).listen(0, '127.0.0.1');
  resources.defer('proxy', async () => void proxy.close());
  await once(proxy, 'listening');
  const address = proxy.address() as AddressInfo;
  const url = `redis://${password ? `:${password}@` : ''}127.0.0.1:${address.port}`;
  const logger = createLogger({ name: 'test', level: 'silent' });
  const opened = await useRedis(resources, { url, logger }, 'listener');
  taken[0]?.unpipe();
  expect([await opened.ping(), taken.length]).toEqual(['PONG', 2]);
});
