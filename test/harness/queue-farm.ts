import { systemClock } from '../../common/clock/clock.ts';
import { EQUAL_OWNERS } from '../../common/contracts/owners.ts';
import type { PhaseResult } from '../../common/contracts/phase-store.ts';
import { type JobReference, PHASES } from '../../common/contracts/phases.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { type RedisOptions, useRedis } from '../../common/redis/connections.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { runDispatcher } from '../../scheduler/dispatch/dispatcher.ts';
import { PhaseQueues } from '../../scheduler/dispatch/queues.ts';
import type { PhaseContext } from '../../workers/context/phase-context.ts';
import { PhaseRunner, type PhaseRunnerOptions } from '../../workers/runtime/phase-runner.ts';
import { PhaseWorkers } from '../../workers/runtime/worker-process.ts';
import { sampleLayerVm } from './sample-spec.ts';

/** The one cluster of these farms. Nothing reaches it, and nothing sees its machines go: it has room for all of a test. */
export const LAB = { name: 'lab', limits: { imports: 4, vms: 100, cpu: 100, memoryBytes: 1024 ** 4 } };
const clock = systemClock;

/** A scheduler process, as far as dispatching goes. */
export async function startQueueScheduler(resources: ReleaseStack, options: RedisOptions) {
  const { logger } = options;
  const redis = await useRedis(resources, options, 'producer');
  const notices = await subscribeNotices(await useRedis(resources, options, 'listener'), logger);
  const queues = resources.use('queues', new PhaseQueues({ redis, logger }, [LAB.name]), (opened) => opened.close());
  const stopping = new AbortController();
  const running = runDispatcher({ redis, notices, queues, clock, logger, owners: EQUAL_OWNERS }, LAB, stopping.signal);
  resources.defer('dispatcher', async () => {
    stopping.abort();
    await running;
  });
  return { redis, queues };
}

/** Workers of every phase that succeed at once; reports each job that they ran. */
export async function startQuickWorkers(
  resources: ReleaseStack,
  options: RedisOptions,
  onJob: (job: JobReference) => void,
): Promise<void> {
  const { logger } = options;
  const redis = await useRedis(resources, options, 'producer');
  const notices = await subscribeNotices(await useRedis(resources, options, 'listener'), logger);
  const store = createPhaseStore({ redis, notices });
  const blocking = await useRedis(resources, options, 'worker');
  for (const phase of PHASES) {
    const execute = async ({ claim: { job } }: PhaseContext): Promise<PhaseResult> => {
      onJob(job);
      const layer = phase === 'snapshot' ? { layerVm: sampleLayerVm(job.vm, job.vm) } : {};
      return { outcome: 'succeeded', ...layer };
    };
    // Of the rest of its context this executor uses nothing.
    const contextOf = () => ({}) as ReturnType<PhaseRunnerOptions['contextOf']>;
    const runner = new PhaseRunner({ executor: { phase, execute }, store, worker: 'w', clock, logger, contextOf });
    const process = { phase, concurrency: 4, worker: 'w', runner, clock, logger };
    const workers = new PhaseWorkers({ ...process, redis: { producer: redis, worker: blocking } }, resources);
    await workers.take(LAB.name);
  }
}
