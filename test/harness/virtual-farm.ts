import type { Redis } from 'ioredis';
import type { PhaseStore } from '../../common/contracts/phase-store.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger, type Logger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { startRedis } from './redis-server.ts';
import { useVirtualTime, type VirtualTime } from './virtual-redis-time.ts';

/** The farm's scripts on a real Redis whose clock passes only by the test. */
export interface VirtualFarm {
  readonly redis: Redis;
  readonly time: VirtualTime;
  readonly store: PhaseStore;
  readonly logger: Logger;
}

export async function startVirtualFarm(resources: ReleaseStack): Promise<VirtualFarm> {
  const logger = createLogger({ name: 'virtual-farm', level: 'silent' });
  const server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  const redis = await useRedis(resources, { url: server.url, logger }, 'producer');
  const time = useVirtualTime(redis, { isFrozen: true });
  const notices = await subscribeNotices(await useRedis(resources, { url: server.url, logger }, 'listener'), logger);
  return { redis, time, store: createPhaseStore({ redis, notices }), logger };
}
