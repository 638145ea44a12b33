import { PHASES } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { takeReady } from '../../common/redis/dispatches.ts';
import { advertise } from '../../common/redis/presence.ts';
import { cancelBuild, submitBuild } from '../../common/redis/submissions.ts';
import { FarmState, newId } from '../harness/farm-state.ts';
import { sampleModule } from '../harness/sample-spec.ts';
import type { Measurement } from './measurement.ts';

const OWNERS = 1_000;
const GANGS = 10;
const ADMITTED = 100;
const TAKES = 20;
const CANCELLED = 2_000;
const limits = { imports: OWNERS * GANGS, vms: ADMITTED, cpu: OWNERS, memoryBytes: OWNERS * 1024 ** 3 };
const FULL = { cluster: 'lab', limits };

/** What one look of a dispatcher costs while many wait for a cluster that is full, and after many have given up. */
export async function benchWaiting(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const farm = await FarmState.open(resources);
  const { redis } = farm;
  for (const phase of PHASES) await advertise(redis, { worker: 'w', phase, cluster: 'lab', capacity: 10_000 });
  const submit = (count: number) =>
    submitBuild(redis, {
      buildId: newId(),
      idempotencyKey: null,
      digest: '',
      retentionMs: 60_000,
      modules: Array.from({ length: count }, () => {
        const id = newId();
        return sampleModule({ name: `m${Number(id)}`, layerKey: `k${id}`, layerBuild: id });
      }),
    });
  for (let owner = 0; owner < OWNERS; owner += 1) await submit(GANGS);
  for (let jobs = await farm.take('lab', limits); jobs.length > 0; jobs = await farm.take('lab', limits)) {
    const imports = jobs.filter(({ reference }) => reference.phase === 'import');
    await Promise.all(imports.map(async (job) => farm.succeed(await farm.claim(job))));
  }
  const look = async () => {
    const start = performance.now();
    await takeReady(redis, FULL);
    return performance.now() - start;
  };
  const times: number[] = [];
  for (let index = 0; index < TAKES; index += 1) times.push(await look());
  await redis.flushall();
  const builds = await Promise.all(Array.from({ length: CANCELLED }, () => submit(1)));
  for (const { outcome, ...build } of builds)
    if (outcome !== 'stale' && 'buildId' in build) await cancelBuild(redis, build.buildId);
  return [
    {
      what: `a look at a full cluster, ${OWNERS} owners x ${GANGS} gangs, median`,
      value: times.toSorted((a, b) => a - b)[TAKES / 2] ?? 0,
      unit: 'ms',
      target: '<= 5 ms',
    },
    { what: `the first look after ${CANCELLED} cancellations`, value: await look(), unit: 'ms', target: '<= 5 ms' },
  ];
}
