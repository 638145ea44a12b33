import { Queue, Worker } from 'bullmq';
import { systemClock } from '../../common/clock/clock.ts';
import { type JobReference, PHASES, queueName, REDIS_PREFIX } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { keepAdvertised } from '../../common/redis/presence.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { runDispatcher } from '../../scheduler/dispatch/dispatcher.ts';
import { PhaseQueues } from '../../scheduler/dispatch/queues.ts';
import { startRedis } from '../harness/redis-server.ts';
import { sampleLayerVm, sampleModule } from '../harness/sample-spec.ts';
import type { Measurement } from './measurement.ts';

const CONCURRENCY = 32;
const MODULES = 500;
const IDLE_MODULES = 50;
/** Slots are freed by what a cluster shows, and there is none here: room for everything that is ever built. */
const ROOM = MODULES + IDLE_MODULES;
const WIDE = { imports: ROOM, vms: ROOM, cpu: ROOM, memoryBytes: ROOM * 1024 ** 3 };
const CLUSTER = { name: 'lab', limits: WIDE };

/** The whole farm but for the machines: dispatcher, queues, claims and commits with executors that do nothing. */
export async function benchFarm(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const server = await startRedis();
  resources.defer('redis', () => server.stop());
  const connect = (role: 'producer' | 'worker' | 'listener') => useRedis(resources, { url: server.url, logger }, role);
  const redis = await connect('producer');
  const notices = await subscribeNotices(await connect('listener'), logger);
  const handOffMs: number[] = [];
  const store = createPhaseStore({ redis, notices, onHandOff: (_phase, ms) => handOffMs.push(ms) });
  const blocking = await connect('worker');
  const stop = new AbortController();
  const advertised: Promise<void>[] = [];
  let wanted = 0;
  let committed = 0;
  let allDone = () => {};
  for (const phase of PHASES) {
    const presence = { worker: 'bench', phase, cluster: CLUSTER.name, capacity: MODULES };
    advertised.push(keepAdvertised({ redis, clock: systemClock, logger }, presence, stop.signal));
    const run = async ({ data }: { data: JobReference }) => {
      const claim = await store.claim(data, 'bench');
      if (!claim) return;
      const layerVm = sampleLayerVm(data.vm, data.layerBuild);
      await store.commit(claim, { outcome: 'succeeded', ...(phase === 'snapshot' ? { layerVm } : {}) });
      committed += 1;
      if (committed === wanted) allDone();
    };
    const options = { connection: blocking, prefix: REDIS_PREFIX, concurrency: CONCURRENCY, drainDelay: 1 };
    resources.use('worker', new Worker(queueName(phase, CLUSTER.name), run, options), (worker) => worker.close());
  }
  const queues = resources.use('queues', new PhaseQueues({ redis, logger }, [CLUSTER.name]), (opened) =>
    opened.close(),
  );
  const dispatching = runDispatcher({ redis, notices, queues, clock: systemClock, logger }, CLUSTER, stop.signal);
  resources.defer('dispatcher', async () => {
    stop.abort();
    await Promise.all([dispatching, ...advertised]);
  });
  let ids = 0;
  /** Builds modules that stand on nothing; resolves when every phase of every one has been committed. */
  const build = async (count: number) => {
    const names = Array.from({ length: count }, () => String(++ids));
    const modules = names.map((id) =>
      sampleModule({ name: `m${id}`, layerKey: `k${id}`, layerBuild: id.padStart(26, '0') }),
    );
    wanted = committed + count * PHASES.length;
    const done = new Promise<void>((resolve) => {
      allDone = resolve;
    });
    await submitBuild(redis, { buildId: `B${ids}`, idempotencyKey: null, digest: '', retentionMs: 60_000, modules });
    await done;
  };
  for (let round = 0; round < IDLE_MODULES; round += 1) await build(1);
  const [p50, p99] = percentiles(handOffMs.splice(0), [0.5, 0.99]);
  const start = performance.now();
  await build(MODULES);
  const farmRate = (MODULES * PHASES.length) / (performance.now() - start);
  const rawRate = await rawChains(server.url);
  return [
    { what: 'hand-off on an idle farm, p50', value: p50 ?? 0, unit: 'ms', target: '<= 15 ms' },
    { what: 'hand-off on an idle farm, p99', value: p99 ?? 0, unit: 'ms', target: '<= 60 ms' },
    { what: 'phase jobs through the farm', value: farmRate * 1000, unit: 'jobs/s', target: '' },
    { what: 'chained jobs through bare BullMQ', value: rawRate * 1000, unit: 'jobs/s', target: '' },
    { what: 'farm against bare BullMQ', value: (100 * farmRate) / rawRate, unit: '%', target: '>= 50 %' },
  ];
}

/** The same number of four-step chains on bare queues, each step adding the next; jobs per millisecond. */
async function rawChains(url: string): Promise<number> {
  const { hostname: host, port } = new URL(url);
  const connection = { host, port: Number(port) };
  const queues = PHASES.map((phase) => new Queue(`raw-${phase}`, { connection }));
  let left = MODULES;
  let finished = () => {};
  const done = new Promise<void>((resolve) => {
    finished = resolve;
  });
  const workers = PHASES.map((phase, index) => {
    const next = queues[index + 1];
    const run = async ({ data }: { data: object }) => {
      if (next) await next.add('job', data);
      else if (--left === 0) finished();
    };
    return new Worker(`raw-${phase}`, run, { connection, concurrency: CONCURRENCY, drainDelay: 1 });
  });
  await Promise.all(workers.map((worker) => worker.waitUntilReady()));
  const start = performance.now();
  const jobs = Array.from({ length: MODULES }, (_, chain) => ({ name: 'job', data: { chain } }));
  await queues[0]?.addBulk(jobs);
  await done;
  const rate = (MODULES * PHASES.length) / (performance.now() - start);
  await Promise.all(workers.map((worker) => worker.close()));
  await Promise.all(queues.map((queue) => queue.close()));
  return rate;
}

function percentiles(values: number[], shares: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return shares.map((share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
}
