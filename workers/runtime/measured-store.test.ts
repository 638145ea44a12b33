import { expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import type { PhaseStore } from '../../common/contracts/phase-store.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createMetrics } from '../../common/metrics/farm-metrics.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { takeReady } from '../../common/redis/dispatches.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { advertise } from '../../common/redis/presence.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { startRedis } from '../../test/harness/redis-server.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { moduleFailure } from '../context/phase-failure.ts';
import { createMeasuredStore } from './measured-store.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const LAB = { cluster: 'lab', limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 8 * 1024 ** 3 } };

test('counts an outcome once, however often it is reported, and a fault as a retry', async () => {
  const resources = new ReleaseStack();
  try {
    const server = await startRedis();
    resources.defer('redis-server', () => server.stop());
    const redis = await useRedis(resources, { url: server.url, logger }, 'producer');
    const notices = await subscribeNotices(await useRedis(resources, { url: server.url, logger }, 'listener'), logger);
    for (const phase of PHASES) await advertise(redis, { worker: 'w', phase, cluster: 'lab', capacity: 8 });
    const id = '1'.padStart(26, '0');
    const modules = [sampleModule({ name: 'base', layerKey: id, layerBuild: id })];
    await submitBuild(redis, { buildId: id, idempotencyKey: null, digest: id, retentionMs: 60_000, modules });
    const metrics = createMetrics();
    const store = createMeasuredStore({ redis, notices }, metrics);

    const claim = async (from: PhaseStore) => {
      const [job] = (await takeReady(redis, LAB)).jobs;
      const claimed = job && (await from.claim(job.reference, 'w'));
      if (!claimed) throw new Error('A job is ready.');
      return claimed;
    };
    const first = await claim(store);
    await store.commit(first, moduleFailure('Fault', 'The cluster went away.'));
    await store.commit(first, moduleFailure('Fault', 'The cluster went away.'));
    const again = async () => ((await takeReady(redis, LAB)).againInMs ?? 0) + 10;
    await systemClock.after(await again());
    await store.commit(await claim(store), { outcome: 'succeeded' });

    const text = await metrics.registry.metrics();
    expect(text.match(/^slipway_phase_jobs_total.*$/gm)).toEqual([
      'slipway_phase_jobs_total{phase="import",outcome="requeue",reason="Fault"} 1',
      'slipway_phase_jobs_total{phase="import",outcome="succeeded",reason=""} 1',
    ]);
    expect(text).toContain('slipway_phase_retries_total{phase="import"} 1');
    expect(text).toContain('slipway_phase_hand_off_seconds_count{phase="import"} 2');
  } finally {
    await resources.close();
  }
});
