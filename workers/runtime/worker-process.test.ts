import { once } from 'node:events';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import type { ClusterRun } from '../../common/config/live-clusters.ts';
import type { PhaseStore } from '../../common/contracts/phase-store.ts';
import { jobId, PHASES, queueName, REDIS_PREFIX } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { type Dispatch, takeReady } from '../../common/redis/dispatches.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { advertise, readWorkers } from '../../common/redis/presence.ts';
import { cancelBuild, submitBuild } from '../../common/redis/submissions.ts';
import { startImportWorker } from '../../test/harness/import-workers.ts';
import { type RedisServer, startRedis } from '../../test/harness/redis-server.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import type { PhaseContext, PhaseExecutor } from '../context/phase-context.ts';
import { PhaseRunner } from './phase-runner.ts';
import { PhaseWorkers } from './worker-process.ts';

/** The real store and real queues; only the executor is scripted. */
const LAB = { cluster: 'lab', limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 8 * 1024 ** 3 } };
const logger = createLogger({ name: 'test', level: 'silent' });
const clock = systemClock;
const resources = new ReleaseStack();
let perTest = new ReleaseStack();
let server: RedisServer;
let redis: Redis;
let store: PhaseStore;
let queue: Queue;

beforeAll(async () => {
  server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  redis = await useRedis(resources, { url: server.url, logger }, 'producer');
  const listener = await useRedis(resources, { url: server.url, logger }, 'listener');
  store = createPhaseStore({ redis, notices: await subscribeNotices(listener, logger), firstBackoffMs: 1 });
  const connection = await useRedis(resources, { url: server.url, logger }, 'worker');
  queue = new Queue(queueName('import', 'lab'), { connection, prefix: REDIS_PREFIX });
  resources.defer('queue', () => queue.close());
});

beforeEach(async () => {
  perTest = new ReleaseStack();
  await redis.flushall();
  await advertiseOthers();
});

afterEach(() => perTest.close());
afterAll(() => resources.close());

test('another worker takes over within 15 s of a kill', { timeout: 40_000 }, async () => {
  const first = await startChild('hang');
  await dispatch();
  expect(await first.line()).toBe('executing, former claims 0');
  const second = await startChild('succeed');
  const killedAt = clock.now();
  first.process.kill('SIGKILL');
  expect(await second.line()).toBe('executing, former claims 1');
  expect(clock.now() - killedAt).toBeLessThan(15_000);
  expect((await nextReady()).reference.phase).toBe('boot-keystrokes');
});

test('hands its phases back when it is asked to stop', { timeout: 30_000 }, async () => {
  const child = await startChild('hang');
  const { reference } = await dispatch();
  expect(await child.line()).toBe('executing, former claims 0');
  expect((await readWorkers(redis, 'lab')).map(({ worker }) => worker)).toContain(`worker-${child.process.pid}`);
  child.process.kill('SIGTERM');
  expect(await child.line()).toBe('stopped: The worker stops; another one continues from here.');
  expect(await once(child.process, 'exit')).toEqual([0, null]);
  expect((await nextReady()).reference).toEqual({ ...reference, dispatch: 2 });
  expect((await readWorkers(redis, 'lab')).map(({ worker }) => worker)).not.toContain(`worker-${child.process.pid}`);
});

test('keeps working while Redis is away for longer than a lock, once', { timeout: 60_000 }, async () => {
  const executions: PhaseContext[] = [];
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  await startHere(async (context) => {
    executions.push(context);
    await finished;
    return { outcome: 'succeeded' };
  });
  const job = await dispatch();
  await until(async () => executions.length === 1);
  perTest.defer('redis continues', () => server.resume());
  await server.pause();
  await clock.after(8_000);
  await server.resume();
  // The queue gives the job to us again; it joins what runs.
  await until(async () => ((await queue.getJob(jobId(job.reference)))?.stalledCounter ?? 0) >= 1);
  await until(async () => (await queue.getActiveCount()) === 1);
  expect(executions[0]?.signal.aborted).toBe(false);
  finish();
  expect((await nextReady()).reference.phase).toBe('boot-keystrokes');
  await until(async () => (await queue.getActiveCount()) === 0);
  expect(executions.length).toBe(1);
});

test('stops an executor when the build is cancelled', async () => {
  let started = false;
  let stopped: unknown;
  await startHere(async ({ signal }) => {
    started = true;
    await clock.after(20_000, signal).catch(() => {});
    stopped = signal.reason;
    throw new Error('some wait was cut');
  });
  const { buildId } = await dispatch();
  await until(async () => started);
  await cancelBuild(redis, buildId);
  await until(async () => stopped !== undefined);
  expect(stopped).toMatchObject({ code: 'Cancelled' });
  await until(async () => (await queue.getActiveCount()) === 0);
});

test('takes no more jobs of a cluster that it leaves, and ends those that run', async () => {
  const started: string[] = [];
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const run = await startHere(async ({ claim }) => {
    started.push(claim.job.layerBuild);
    await finished;
    return { outcome: 'succeeded' };
  });
  const first = await dispatch();
  await until(async () => started.length === 1);
  await run.stop();
  expect((await readWorkers(redis, 'lab')).map(({ worker }) => worker)).not.toContain('here');
  const second = await dispatch();
  finish();
  expect((await nextReady()).reference).toMatchObject({
    layerBuild: first.reference.layerBuild,
    phase: 'boot-keystrokes',
  });
  await until(async () => (await queue.getActiveCount()) === 0);
  expect(await queue.getJobState(jobId(second.reference))).toBe('waiting');
  expect(started).toEqual([first.reference.layerBuild]);
});

test('gives a delivery up at once and lets the next one join', async () => {
  let executions = 0;
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const runner = runnerOf(async () => {
    executions += 1;
    await finished;
    return { outcome: 'succeeded' };
  });
  const { reference } = await dispatch();
  const lockLost = new AbortController();
  const first = runner.deliver(reference, lockLost.signal);
  await until(async () => executions === 1);
  lockLost.abort(new Error('lock lost'));
  await expect(first).rejects.toThrow('lock lost');
  const second = runner.deliver(reference, new AbortController().signal);
  finish();
  await second;
  expect(executions).toBe(1);
  // Committed: a third delivery finds nothing to do.
  await runner.deliver(reference, new AbortController().signal);
  expect(executions).toBe(1);
});

async function advertiseOthers(): Promise<void> {
  for (const phase of PHASES) await advertise(redis, { worker: 'other', phase, cluster: 'lab', capacity: 8 });
}

let ulids = 0;
const newId = () => String(++ulids).padStart(26, '0');

/** Submits a module of one VM and puts its first job on the queue, as the dispatcher does. */
async function dispatch(): Promise<Dispatch & { buildId: string }> {
  const buildId = newId();
  const module = sampleModule({ name: 'base', layerKey: newId(), layerBuild: newId() });
  const submission = { buildId, idempotencyKey: null, digest: buildId, retentionMs: 60_000, modules: [module] };
  await submitBuild(redis, submission);
  const job = await nextReady();
  await queue.add('import', job.reference, { jobId: jobId(job.reference), attempts: 1 });
  return { ...job, buildId };
}

async function nextReady(): Promise<Dispatch> {
  for (;;) {
    // Starting processes may take longer than an advertisement counts.
    await advertiseOthers();
    const [job] = (await takeReady(redis, LAB)).jobs;
    if (job) return job;
    await clock.after(50);
  }
}

async function startHere(execute: PhaseExecutor['execute']): Promise<ClusterRun> {
  const connection = await useRedis(perTest, { url: server.url, logger }, 'worker');
  const workers = new PhaseWorkers(
    {
      ...{ phase: 'import', concurrency: 2, worker: 'here', clock, logger },
      runner: runnerOf(execute),
      redis: { producer: redis, worker: connection },
    },
    perTest,
  );
  return workers.take('lab');
}

function runnerOf(execute: PhaseExecutor['execute']): PhaseRunner {
  const executor = { phase: 'import', execute } as const;
  // What these executors do not use is not there.
  const contextOf = () => ({}) as ReturnType<ConstructorParameters<typeof PhaseRunner>[0]['contextOf']>;
  return new PhaseRunner({ executor, store, worker: 'here', clock, logger, contextOf });
}

/** A worker process whose executor succeeds, or waits until it is stopped. */
const startChild = (script: 'hang' | 'succeed') => startImportWorker(perTest, server.url, script);

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await clock.after(50);
}
