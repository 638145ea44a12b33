import { Queue, Worker } from 'bullmq';
import { PHASES } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { sampleModule } from '../harness/sample-spec.ts';
import { startBenchFarm } from './bench-farm.ts';
import type { Measurement } from './measurement.ts';

const CONCURRENCY = 32;
const MODULES = 500;
const IDLE_MODULES = 50;
const WIDE = { imports: MODULES, vms: MODULES, cpu: MODULES, memoryBytes: MODULES * 1024 ** 3 };

/** A farm whose executors do nothing, and builds of so many modules that are based on nothing. */
export async function startIdleFarm(resources: ReleaseStack) {
  const nothing = async () => {};
  const farm = await startBenchFarm({ limits: WIDE, concurrency: CONCURRENCY, work: nothing }, resources);
  let ids = 0;
  const build = (count: number) => {
    const names = Array.from({ length: count }, () => String(++ids));
    return farm.build(
      names.map((id) => sampleModule({ name: `m${id}`, layerKey: `k${id}`, layerBuild: id.padStart(26, '0') })),
    );
  };
  return { farm, build };
}

/** The whole farm but for the machines, with executors that do nothing, beside the queues alone. */
export async function benchFarm(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const { farm, build } = await startIdleFarm(resources);
  for (let round = 0; round < IDLE_MODULES; round += 1) await build(1);
  const [p50, p99] = percentiles(farm.handOffMs.splice(0), [0.5, 0.99]);
  const start = performance.now();
  await build(MODULES);
  const farmRate = (MODULES * PHASES.length) / (performance.now() - start);
  const rawRate = await rawChains(farm.redisUrl);
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
