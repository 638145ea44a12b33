import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock } from '../../common/clock/clock.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { takeReady } from '../../common/redis/dispatches.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { cancelBuild, sendSubmission } from '../../common/redis/submissions.ts';
import { writeSubmission } from '../../common/redis/write-submission.ts';
import { carryTasksOn } from '../../scheduler/dispatch/safety-sweep.ts';
import { sampleFailure } from '../harness/farm-state.ts';
import { sampleModule } from '../harness/sample-spec.ts';
import { RedisBlocks } from './redis-blocks.ts';

/** Messages of this process to its parent. */
export interface SizeReport {
  readonly submitMs: number;
  readonly cancelMs: number;
  readonly failMs: number;
  readonly loopMs: number;
  readonly rssMiB: number;
  readonly seconds: number;
}

const MODULES = 25_000;
const LIMITS = { imports: 4, vms: 4, cpu: 4, memoryBytes: 4 * 1024 ** 3 };

/*
 * Submits, cancels and fails one large build on the Redis of its argument, as a scheduler does: `writeSubmission` runs in a
 * planning thread there, so it is not measured here.
 */
const resources = new ReleaseStack();
const logger = createLogger({ name: 'bench', level: 'silent' });
const open = (role: 'producer' | 'listener') => useRedis(resources, { url: process.argv[2] ?? '', logger }, role);
const redis = await open('producer');
const notices = await subscribeNotices(await open('listener'), logger);
const blocks = await RedisBlocks.watch(redis);
const stopping = new AbortController();
const carrying = carryTasksOn({ redis: await open('producer'), notices, clock: systemClock, logger }, stopping.signal);
resources.defer('tasks', async () => {
  stopping.abort();
  await carrying;
});

let ids = 0;
/** One module that all others are based on, half of them by way of another one. */
function writeGraph(): { buildId: string; written: readonly string[] } {
  const buildId = `B${++ids}`;
  const make = (parents: { name: string; layerKey: string }[]) => {
    const id = String(++ids);
    return sampleModule({ name: `m${id}`, layerKey: `k${id}`, layerBuild: id.padStart(26, '0'), parents });
  };
  const root = make([]);
  const modules = [root];
  while (modules.length < MODULES) modules.push(make([modules[Math.floor(modules.length / 2)] ?? root, root]));
  const written = writeSubmission({ buildId, idempotencyKey: null, digest: '', retentionMs: 60_000, modules });
  return { buildId, written };
}

/** One for each graph: what is measured begins after it was written. */
const loops: IntervalHistogram[] = [];
const start = performance.now();
const first = await submitGraph();
const submitMs = await blocks.longestMs();
await cancelBuild(redis, first);
await untilEnded(first);
const cancelMs = await blocks.longestMs();
const second = await submitGraph();
await blocks.longestMs();
const store = createPhaseStore({ redis, notices });
const [job] = (await takeReady(redis, { cluster: 'lab', limits: LIMITS })).jobs;
const claim = job && (await store.claim(job.reference, 'w'));
if (!claim) throw new Error('The root of the graph waits to be imported.');
await store.commit(claim, { outcome: 'failed', failure: sampleFailure('StepFailed') });
await untilEnded(second);
const failMs = await blocks.longestMs();
const seconds = (performance.now() - start) / 1000;
loops.at(-1)?.disable();
const rssMiB = process.memoryUsage().rss / 1024 ** 2;
await resources.close();
const report: SizeReport = {
  submitMs,
  cancelMs,
  failMs,
  loopMs: Math.max(...loops.map(({ max }) => max)) / 1e6,
  rssMiB,
  seconds,
};
process.send?.(report);

/** Its graph is written while nothing is measured, and no longer in memory afterwards. Returns the id of the build. */
async function submitGraph(): Promise<string> {
  loops.at(-1)?.disable();
  const { buildId, written } = writeGraph();
  // What a planning thread needed for it is none of the scheduler's memory.
  globalThis.gc?.();
  await blocks.longestMs();
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  loops.push(loop);
  await sendSubmission(redis, written);
  return buildId;
}

async function untilEnded(buildId: string): Promise<void> {
  const finished = new Promise<void>((resolve) => {
    const stop = notices.listen((notice) => {
      if (notice.kind !== 'finished' || notice.buildId !== buildId) return;
      stop();
      resolve();
    });
  });
  if (!(await redis.hget(KEYS.build(buildId), 'finishedAt'))) await finished;
}
