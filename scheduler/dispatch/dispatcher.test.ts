import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { type JobReference, jobId, queueName } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { placedJobs, takeReady } from '../../common/redis/dispatches.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { LAB, startQueueScheduler, startQuickWorkers } from '../../test/harness/queue-farm.ts';
import { type RedisServer, startRedis } from '../../test/harness/redis-server.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { repairLostJobs } from './safety-sweep.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
let resources: ReleaseStack;
let server: RedisServer;

beforeEach(async () => {
  resources = new ReleaseStack();
  server = await startRedis();
  resources.defer('redis-server', () => server.stop());
});

afterEach(() => resources.close());

const startScheduler = () => startQueueScheduler(resources, { url: server.url, logger });
const startWorkers = (onJob: (job: JobReference) => void) =>
  startQuickWorkers(resources, { url: server.url, logger }, onJob);

let ulids = 0;
const newId = () => String(++ulids).padStart(26, '0');

test('two schedulers take a diamond through the queues, each job once', async () => {
  const { redis } = await startScheduler();
  await startScheduler();
  const ran: string[] = [];
  await startWorkers((job) => ran.push([job.layerBuild, job.vm, job.phase].join('/')));
  const base = sampleModule({ name: 'base', layerKey: 'k0', layerBuild: newId(), vms: ['a', 'b'] });
  const left = sampleModule({ name: 'left', layerKey: 'k1', layerBuild: newId(), parents: [base] });
  const right = sampleModule({ name: 'right', layerKey: 'k2', layerBuild: newId(), parents: [base] });
  const top = sampleModule({ name: 'top', layerKey: 'k3', layerBuild: newId(), parents: [left, right] });
  const buildId = newId();
  await submitBuild(redis, {
    buildId,
    idempotencyKey: null,
    digest: '',
    retentionMs: 60_000,
    modules: [base, left, right, top],
  });
  await expect.poll(() => redis.hget(KEYS.build(buildId), 'state'), { timeout: 20_000 }).toBe('succeeded');
  expect(ran).toHaveLength(20);
  expect(new Set(ran).size).toBe(20);
  expect(await redis.exists(KEYS.placed, KEYS.outbox)).toBe(0);
});

test('finds what a scheduler took and never added, and what a queue has lost', async () => {
  const first = await useRedis(resources, { url: server.url, logger }, 'producer');
  const module = sampleModule({ name: 'base', layerKey: 'k0', layerBuild: newId() });
  await submitBuild(first, {
    buildId: newId(),
    idempotencyKey: null,
    digest: '',
    retentionMs: 60_000,
    modules: [module],
  });
  const died = await takeReady(first, { cluster: LAB.name, limits: LAB.limits });
  expect(died.jobs).toHaveLength(1);
  const found = await takeReady(first, { cluster: LAB.name, limits: LAB.limits }, { forgottenMs: 0 });
  expect(found.jobs).toEqual(died.jobs);

  const { redis, queues } = await startScheduler();
  const clock = systemClock;
  expect(await repairLostJobs({ redis, queues, clock, logger })).toBe(0);
  await redis.del(KEYS.outbox);
  expect(await repairLostJobs({ redis, queues, clock, logger })).toBe(1);
  expect(await repairLostJobs({ redis, queues, clock, logger })).toBe(0);
  const placed = [];
  for await (const job of placedJobs(redis)) placed.push(job);
  expect(placed).toMatchObject([{ reference: { dispatch: 2 } }]);
  const queue = queues.all.find(({ name }) => name === queueName('import', LAB.name));
  expect(await queue?.getJobState(jobId({ ...module, generation: 1, vm: 'vm', phase: 'import', dispatch: 2 }))).toBe(
    'prioritized',
  );
});

test('another scheduler adds within seconds what one took and died with', { timeout: 20_000 }, async () => {
  const first = await useRedis(resources, { url: server.url, logger }, 'producer');
  const module = sampleModule({ name: 'base', layerKey: 'k0', layerBuild: newId() });
  const build = { buildId: newId(), idempotencyKey: null, digest: '', retentionMs: 60_000, modules: [module] };
  await submitBuild(first, build);
  expect((await takeReady(first, { cluster: LAB.name, limits: LAB.limits })).jobs).toHaveLength(1);
  const { queues } = await startScheduler();
  const queue = queues.all.find(({ name }) => name === queueName('import', LAB.name));
  await expect.poll(() => queue?.getPrioritizedCount(), { timeout: 12_000 }).toBe(1);
});

test('adds what it took though Redis went away in between', async () => {
  const { redis, queues } = await startScheduler();
  const add = queues.add.bind(queues);
  let tries = 0;
  vi.spyOn(queues, 'add').mockImplementation(async (jobs) => {
    if (jobs.length > 0 && ++tries === 1) throw new FarmError('RedisUnavailable', 'It went away.');
    await add(jobs);
  });
  const module = sampleModule({ name: 'base', layerKey: 'k0', layerBuild: newId() });
  const build = { buildId: newId(), idempotencyKey: null, digest: '', retentionMs: 60_000, modules: [module] };
  await submitBuild(redis, build);
  const queue = queues.all.find(({ name }) => name === queueName('import', LAB.name));
  await expect.poll(() => queue?.getPrioritizedCount(), { timeout: 20_000 }).toBe(1);
  await expect.poll(() => redis.exists(KEYS.outbox), { timeout: 5_000 }).toBe(0);
  expect(tries).toBe(2);
});

test('accepted builds survive a kill of Redis, and continue by themselves', async () => {
  const { redis } = await startScheduler();
  const buildId = newId();
  const module = sampleModule({ name: 'base', layerKey: 'k0', layerBuild: newId() });
  await submitBuild(redis, { buildId, idempotencyKey: null, digest: '', retentionMs: 60_000, modules: [module] });
  await server.restart({ kill: true });
  await expect.poll(() => redis.status).toBe('ready');
  await startWorkers(() => undefined);
  await expect.poll(() => redis.hget(KEYS.build(buildId), 'state'), { timeout: 20_000 }).toBe('succeeded');
});
