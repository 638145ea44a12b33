import { expect, test } from 'vitest';
import { systemClock } from '../common/clock/clock.ts';
import { ReleaseStack } from '../common/lifecycle/release-stack.ts';
import { createLogger } from '../common/logging/logger.ts';
import { createMetrics } from '../common/metrics/farm-metrics.ts';
import { useRedis } from '../common/redis/connections.ts';
import { takeReady } from '../common/redis/dispatches.ts';
import { advertise } from '../common/redis/presence.ts';
import { reportTrouble } from '../common/redis/slots.ts';
import { submitBuild } from '../common/redis/submissions.ts';
import { startRedis } from '../test/harness/redis-server.ts';
import { sampleModule } from '../test/harness/sample-spec.ts';
import { PhaseQueues } from './dispatch/queues.ts';
import { measureFarm } from './measure.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const limits = { imports: 1, vms: 4, cpu: 8, memoryBytes: 8 * 1024 ** 3 };
const id = (text: string) => text.padStart(26, '0');

test('gauges show the state of the farm, and are absent while Redis is unavailable', async () => {
  const resources = new ReleaseStack();
  try {
    const server = await startRedis();
    resources.defer('redis-server', () => server.stop());
    const replies: number[] = [];
    const options = { url: server.url, logger, onReply: (ms: number) => void replies.push(ms) };
    const redis = await useRedis(resources, options, 'producer');
    const queues = resources.use('queues', new PhaseQueues({ redis, logger }, ['lab']), (opened) => opened.close());
    const metrics = createMetrics();
    const measure = async () => {
      await measureFarm(metrics, {
        redis,
        queues,
        clusters: [{ name: 'lab', limits, labels: {} }],
        clock: systemClock,
        logger,
      });
      return metrics.registry.metrics();
    };
    await reportTrouble(redis, 'lab', null);
    await advertise(redis, { worker: 'w', phase: 'import', cluster: 'lab', capacity: 4 });
    for (const name of ['A', 'B']) {
      const module = sampleModule({ name: name.toLowerCase(), layerKey: id(`K${name}`), layerBuild: id(`W${name}`) });
      const build = { buildId: id(name), idempotencyKey: null, digest: name, retentionMs: 60_000, modules: [module] };
      await submitBuild(redis, build);
    }
    await queues.add((await takeReady(redis, { cluster: 'lab', limits })).jobs);
    await systemClock.after(20);

    const text = await measure();
    expect(text).toContain('slipway_redis_up 1');
    expect(text).toContain('slipway_redis_noeviction 1');
    expect(text).toContain('slipway_cluster_healthy{cluster="lab"} 1');
    expect(text).toContain('slipway_cluster_used{cluster="lab",resource="imports"} 1');
    expect(text).toContain('slipway_admission_waiting{cluster="lab",kind="imports"} 1');
    expect(text).toContain('slipway_queue_depth{phase="import",cluster="lab",state="waiting"} 1');
    expect(text).toContain('slipway_worker_capacity{phase="import",cluster="lab"} 4');
    expect(text).toContain('slipway_worker_capacity{phase="snapshot",cluster="lab"} 0');
    expect(text).toMatch(/slipway_queue_oldest_seconds\{phase="import",cluster="lab"\} 0\.\d+/);
    expect(replies.length).toBeGreaterThan(10);

    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await measure()).toContain('slipway_redis_noeviction 0');

    redis.disconnect();
    const away = await measure();
    expect(away).toContain('slipway_redis_up 0');
    expect(away).not.toMatch(/^slipway_(cluster|queue|worker|admission|redis_(noeviction|memory))\w* ?\S* \d/m);
  } finally {
    await resources.close();
  }
});
