import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { newId } from '../harness/farm-state.ts';
import { startImportWorker } from '../harness/import-workers.ts';
import { startQueueScheduler } from '../harness/queue-farm.ts';
import { startRedis } from '../harness/redis-server.ts';
import { sampleModule } from '../harness/sample-spec.ts';
import type { Measurement } from './measurement.ts';

/** A phase whose worker is lost this often, and again, still continues; see `MOST_LOST` of finish.lua. */
const KILLS = 8;

/** How long after the kill of a worker process another one runs its phase. */
export async function benchTakeover(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const server = await startRedis();
  resources.defer('redis', () => server.stop());
  const { redis } = await startQueueScheduler(resources, { url: server.url, logger });
  const id = newId();
  const modules = [sampleModule({ name: 'base', layerKey: id, layerBuild: id })];
  await submitBuild(redis, { buildId: id, idempotencyKey: null, digest: id, retentionMs: 60_000, modules });
  const start = () => startImportWorker(resources, server.url, 'hang');
  const seconds: number[] = [];
  let holder = await start();
  await holder.line();
  while (seconds.length < KILLS) {
    const other = await start();
    const killedAt = performance.now();
    holder.process.kill('SIGKILL');
    await other.line();
    seconds.push((performance.now() - killedAt) / 1000);
    holder = other;
  }
  const sorted = seconds.toSorted((a, b) => a - b);
  return [
    {
      what: 'worker killed, until another one has its phase, median',
      value: sorted[KILLS / 2] ?? 0,
      unit: 's',
      target: '',
    },
    { what: `the same, longest of ${KILLS}`, value: sorted.at(-1) ?? 0, unit: 's', target: '<= 5 s' },
  ];
}
