import { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { systemClock } from '../../common/clock/clock.ts';
import type { Limits } from '../../common/contracts/builds.ts';
import { EQUAL_OWNERS } from '../../common/contracts/owners.ts';
import { type JobReference, PHASES, queueName, REDIS_PREFIX } from '../../common/contracts/phases.ts';
import { createAlarm } from '../../common/lifecycle/alarm.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger, type Logger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { type Notices, subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { keepAdvertised } from '../../common/redis/presence.ts';
import { readUsage, reportCluster } from '../../common/redis/slots.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import type { SubmittedModule } from '../../common/redis/write-submission.ts';
import { runDispatcher } from '../../scheduler/dispatch/dispatcher.ts';
import { PhaseQueues } from '../../scheduler/dispatch/queues.ts';
import { carryTasksOn } from '../../scheduler/dispatch/safety-sweep.ts';
import { startRedis } from '../harness/redis-server.ts';
import { sampleLayerVm } from '../harness/sample-spec.ts';

export const CLUSTER = 'lab';
const WORKER = 'bench';
const LOOK_AGAIN_MS = 1_000;

export interface BenchFarmOptions {
  readonly limits: Limits;
  /** Jobs of a phase that its workers run at once. */
  readonly concurrency: number;
  /** Stands in for what a phase does on a cluster. */
  readonly work: (job: JobReference) => Promise<void>;
}

/** A farm without machines: Redis, dispatcher, queues, claims and commits are the real ones. */
export interface BenchFarm {
  readonly redisUrl: string;
  /** How long each phase was ready before it was claimed, ms. */
  readonly handOffMs: number[];
  /** Submits one build and resolves when it has finished. */
  build(modules: readonly SubmittedModule[]): Promise<void>;
}

/** Starts a farm whose executors are `work`; it ends with `resources`. */
export async function startBenchFarm(options: BenchFarmOptions, resources: ReleaseStack): Promise<BenchFarm> {
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const server = await startRedis();
  resources.defer('redis', () => server.stop());
  const connect = (role: 'producer' | 'worker' | 'listener') => useRedis(resources, { url: server.url, logger }, role);
  const redis = await connect('producer');
  const notices = await subscribeNotices(await connect('listener'), logger);
  const handOffMs: number[] = [];
  const store = createPhaseStore({ redis, notices, onHandOff: (_phase, ms) => handOffMs.push(ms) });
  const blocking = await connect('worker');
  const stopping = new AbortController();
  const loops: Promise<void>[] = [];
  for (const phase of PHASES) {
    const presence = { worker: WORKER, phase, cluster: CLUSTER, capacity: options.concurrency };
    loops.push(keepAdvertised({ redis, clock: systemClock, logger }, presence, stopping.signal));
    const run = async ({ data }: { data: JobReference }) => {
      const claim = await store.claim(data, WORKER);
      if (!claim) return;
      await options.work(data);
      const layerVm = sampleLayerVm(data.vm, data.layerBuild);
      await store.commit(claim, { outcome: 'succeeded', ...(phase === 'snapshot' ? { layerVm } : {}) });
    };
    const workerOptions = {
      connection: blocking,
      prefix: REDIS_PREFIX,
      concurrency: options.concurrency,
      drainDelay: 1,
    };
    resources.use('worker', new Worker(queueName(phase, CLUSTER), run, workerOptions), (worker) => worker.close());
  }
  const queues = resources.use('queues', new PhaseQueues({ redis, logger }, [CLUSTER]), (opened) => opened.close());
  const farm = { redis, notices, queues, clock: systemClock, logger, owners: EQUAL_OWNERS };
  loops.push(runDispatcher(farm, { name: CLUSTER, limits: options.limits }, stopping.signal));
  loops.push(carryTasksOn(farm, stopping.signal));
  loops.push(freeSlots(farm, stopping.signal));
  resources.defer('loops', async () => {
    stopping.abort();
    await Promise.all(loops);
  });
  return { redisUrl: server.url, handOffMs, build: createBuilds(redis, notices) };
}

/** What the watch of a cluster does, for one whose machines are gone as soon as the farm is done with them. */
async function freeSlots(
  { redis, notices, logger }: { readonly redis: Redis; readonly notices: Notices; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  const alarm = createAlarm(systemClock);
  const stop = notices.listen(({ kind }) => {
    if (kind === 'leaving') alarm.ring();
  });
  while (!signal.aborted) {
    alarm.reset();
    const { slots } = await readUsage(redis, CLUSTER);
    const leaving = slots.filter(({ stage }) => stage === 'leaving');
    if (leaving.length > 0) await reportCluster(redis, CLUSTER, { leaving, observed: [] });
    await alarm.within(LOOK_AGAIN_MS, signal);
  }
  stop();
  logger.debug('No more slots are freed');
}

function createBuilds(redis: Redis, notices: Notices): BenchFarm['build'] {
  const waiting = new Map<string, () => void>();
  notices.listen((notice) => {
    if (notice.kind === 'finished') waiting.get(notice.buildId)?.();
  });
  let builds = 0;
  return async (modules) => {
    const buildId = `B${++builds}`;
    const finished = new Promise<void>((resolve) => waiting.set(buildId, resolve));
    await submitBuild(redis, { buildId, idempotencyKey: null, digest: '', retentionMs: 60_000, modules });
    await finished;
    waiting.delete(buildId);
  };
}
