import type { Redis } from 'ioredis';
import type { PhaseStore } from '../../common/contracts/phase-store.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { advertise } from '../../common/redis/presence.ts';
import { openLossyRedis } from '../harness/lossy-redis.ts';
import { startRedis } from '../harness/redis-server.ts';
import { useSmallPortions } from '../harness/small-portions.ts';
import { useVirtualTime } from '../harness/virtual-redis-time.ts';

/** The farm's scripts on a real Redis, with a clock that is stopped and a connection on which answers are lost. */
export interface ModelFarm {
  /** Answers of it may be lost: what was asked is done, and asked again. */
  readonly unlucky: Redis;
  /** For the test itself. */
  readonly calm: Redis;
  /** Of a worker, by the unlucky connection. */
  readonly store: PhaseStore;
  loseNextAnswer(): void;
  pass(ms: number): Promise<void>;
  reset(): Promise<void>;
}

export async function openModelFarm(resources: ReleaseStack): Promise<ModelFarm> {
  const logger = createLogger({ name: 'test', level: 'silent' });
  const server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  const way = await openLossyRedis(resources, server.url);
  const unlucky = await useRedis(resources, { url: way.url, logger }, 'producer');
  // Requests wait for the connection, as the farm's processes do by retrying.
  Object.assign(unlucky.options, { enableOfflineQueue: true, retryStrategy: () => 1, maxRetriesPerRequest: null });
  // So that long tasks are left over between any two happenings.
  useSmallPortions(unlucky);
  const calm = await useRedis(resources, { url: server.url, logger }, 'producer');
  const time = useVirtualTime(calm, { isFrozen: true });
  useVirtualTime(unlucky, { isFrozen: true });
  const notices = await subscribeNotices(await useRedis(resources, { url: server.url, logger }, 'listener'), logger);
  const advertiseAll = async () => {
    for (const phase of PHASES) await advertise(calm, { worker: 'w', phase, cluster: 'lab', capacity: 9 });
  };
  return {
    ...{ unlucky, calm, store: createPhaseStore({ redis: unlucky, notices, firstBackoffMs: 0 }) },
    loseNextAnswer: () => way.loseNextAnswer(),
    pass: async (ms) => {
      await time.pass(ms);
      await advertiseAll();
    },
    reset: async () => {
      await calm.flushall();
      await advertiseAll();
    },
  };
}
