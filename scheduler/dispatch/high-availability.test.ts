import { expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { type JobReference, REDIS_PREFIX } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { assertRedisFit, useRedis } from '../../common/redis/connections.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { startQueueScheduler, startQuickWorkers } from '../../test/harness/queue-farm.ts';
import { type RedisServers, startRedisCluster, startSentinels } from '../../test/harness/redis-servers.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { repairLostJobs } from './safety-sweep.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const TIMEOUT_MS = 120_000;
const WIDTH = 15;

let ids = 0;
const newId = () => String(++ids).padStart(26, '0');

/** Schedulers and workers with real queues on real servers: what ends the primary costs a build time only. */
test.each([
  ['Sentinel', startSentinels],
  ['Redis Cluster', (resources: ReleaseStack) => startRedisCluster(resources, REDIS_PREFIX)],
])(
  'builds continue behind %s when the primary hangs, and when it is killed',
  { timeout: TIMEOUT_MS },
  async (_kind, start) => {
    await using resources = new ReleaseStack();
    const leaks: Error[] = [];
    const warn = (warning: Error) => warning.name === 'MaxListenersExceededWarning' && leaks.push(warning);
    process.on('warning', warn);
    resources.defer('warnings', async () => void process.off('warning', warn));
    const servers: RedisServers = await start(resources);
    const options = { ...servers.options, logger };
    await assertRedisFit(await useRedis(resources, options, 'producer'));
    const { redis, queues } = await startQueueScheduler(resources, options);
    const ran = new Set<string>();
    let disturb = () => {};
    await startQuickWorkers(resources, options, (job: JobReference) => {
      ran.add([job.layerBuild, job.phase].join());
      disturb();
    });
    for (const fault of ['SIGSTOP', 'SIGKILL'] as const) {
      // What no replica has is lost with its primary: a test of failovers begins when there is one in step.
      await redis.set(`${REDIS_PREFIX}:test`, fault);
      await redis.wait(1, 0);
      const buildId = newId();
      const base = sampleModule({ name: 'base', layerKey: newId(), layerBuild: newId() });
      const others = Array.from({ length: WIDTH }, (_, index) =>
        sampleModule({ name: `m${index}`, layerKey: newId(), layerBuild: newId(), parents: [base] }),
      );
      await submitBuild(redis, {
        buildId,
        idempotencyKey: null,
        digest: '',
        retentionMs: 60_000,
        modules: [base, ...others],
      });
      const primary = await servers.primary();
      disturb = () => void primary.process.kill(fault);
      // What a failover has lost is found by the sweep, which looks every 30 s.
      const look = async () => {
        await repairLostJobs({ redis, queues, clock: systemClock, logger });
        return redis.hget(KEYS.build(buildId), 'state');
      };
      await expect.poll(() => look().catch(String), { timeout: TIMEOUT_MS, interval: 1_000 }).toBe('succeeded');
      disturb = () => {};
      expect((await servers.primary()).port, fault).not.toBe(primary.port);
      primary.process.kill('SIGCONT');
    }
    expect(ran.size).toBe(2 * 4 * (WIDTH + 1));
    expect(leaks).toEqual([]);
  },
);
