import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { layerRecord } from '../../test/harness/layer-factory.ts';
import { type RedisServer, startRedis } from '../../test/harness/redis-server.ts';
import { sampleLayerVm, sampleModule } from '../../test/harness/sample-spec.ts';
import type { FarmEvent } from '../contracts/events.ts';
import type { Failure } from '../contracts/failures.ts';
import { isChangedByHand } from '../contracts/layers.ts';
import type { PhaseClaim, PhaseStore } from '../contracts/phase-store.ts';
import { PHASES } from '../contracts/phases.ts';
import { FarmError } from '../errors/farm-error.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { readBuild } from './builds.ts';
import { assertRedisFit, useRedis } from './connections.ts';
import { type Dispatch, endOverdue, redispatch, takeReady } from './dispatches.ts';
import { readEvents } from './event-streams.ts';
import { continueHandbuild, countHandbuilds, readHandbuild } from './handbuilds.ts';
import { KEYS } from './keys.ts';
import { forgetLayer, parseCatalog, readCatalog, readLayers, restoreLayer, tagImage, untagImage } from './layers.ts';
import { subscribeNotices } from './notices.ts';
import { createPhaseStore } from './phase-store.ts';
import { advertise } from './presence.ts';
import { readRuns } from './runs.ts';
import { readUsage, reportCluster } from './slots.ts';
import { cancelBuild, submitBuild } from './submissions.ts';
import type { BuiltModule, SubmittedModule } from './write-submission.ts';

const LAB = { cluster: 'lab', limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 8 * 1024 ** 3 } };
const logger = createLogger({ name: 'test', level: 'silent' });
const resources = new ReleaseStack();
let server: RedisServer;
let redis: Awaited<ReturnType<typeof useRedis>>;
let store: PhaseStore;

beforeAll(async () => {
  server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  redis = await useRedis(resources, { url: server.url, logger }, 'producer');
  const listener = await useRedis(resources, { url: server.url, logger }, 'listener');
  store = createPhaseStore({ redis, notices: await subscribeNotices(listener, logger), firstBackoffMs: 1 });
});

beforeEach(async () => {
  await redis.flushall();
  for (const phase of PHASES) await advertise(redis, { worker: 'w', phase, cluster: 'lab', capacity: 8 });
});

afterAll(() => resources.close());

let ulids = 0;
const newId = () => String(++ulids).padStart(26, '0');

async function submit(modules: SubmittedModule[], idempotencyKey: string | null = null) {
  const buildId = newId();
  const digest = modules.map((module) => ('recipeKey' in module ? module.recipeKey : module.layerKey)).join();
  const reply = await submitBuild(redis, { buildId, idempotencyKey, digest, retentionMs: 60_000, modules });
  return { buildId, reply };
}

async function take(): Promise<readonly Dispatch[]> {
  return (await takeReady(redis, LAB)).jobs;
}

async function claimOne(job: Dispatch | undefined): Promise<PhaseClaim> {
  const claim = job ? await store.claim(job.reference, 'w1') : null;
  if (!claim) throw new Error('There was nothing to claim.');
  return claim;
}

/** Takes the next job, which must be the only one, and commits it. */
async function runNext(): Promise<PhaseClaim> {
  const [job] = await take();
  const claim = await claimOne(job);
  const { vm, phase } = claim.job;
  await store.commit(claim, {
    outcome: 'succeeded',
    ...(phase === 'snapshot' ? { layerVm: sampleLayerVm(vm, `s-${vm}`) } : {}),
  });
  return claim;
}

async function eventsOf(buildId: string): Promise<FarmEvent[]> {
  const reader = redis.duplicate({ enableOfflineQueue: true });
  const events: FarmEvent[] = [];
  for await (const event of readEvents(reader, { buildId, lastEventId: '0' }, new AbortController().signal)) {
    if (event) events.push(event);
  }
  reader.disconnect();
  return events;
}

const failure = (reason: Failure['reason']): Failure => ({
  reason,
  message: 'It broke.',
  logTail: [],
  serialTail: [],
  hints: [],
  events: [],
  screenshot: false,
});

test('the server is what the farm needs, and one that may evict is refused', async () => {
  await assertRedisFit(redis);
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await expect(assertRedisFit(redis)).rejects.toThrow('its maxmemory-policy is "allkeys-lru"');
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  await redis.config('SET', 'appendonly', 'no');
  await expect(assertRedisFit(redis)).rejects.toThrow('has no append-only file');
  await assertRedisFit(redis, { appendOnly: 'optional' });
  await redis.config('SET', 'appendonly', 'yes');
});

test('builds a child after its parent, from the record of the parent', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const child = sampleModule({ name: 'child', layerKey: 'k2', layerBuild: newId(), parents: [base] });
  const { buildId } = await submit([base, child]);
  const { unfinished } = parseCatalog(await readCatalog(redis, new Set(['base'])));
  expect(unfinished.get('k1')).toMatchObject({ module: 'base', isBegun: false, spec: { layerKey: 'k1' } });
  expect(unfinished.get('k2')).toEqual({
    layerKey: 'k2',
    layerBuild: child.layerBuild,
    module: 'child',
    cluster: 'lab',
    isBegun: false,
  });
  for (const phase of PHASES) expect((await runNext()).job).toMatchObject({ layerBuild: base.layerBuild, phase });
  const claim = await runNext();
  expect(claim.parents['k1']).toMatchObject({
    module: 'base',
    version: 1,
    layerBuild: base.layerBuild,
    vms: [{ vm: 'vm' }],
  });
  for (let rest = 0; rest < 3; rest += 1) await runNext();
  const events = await eventsOf(buildId);
  expect(events.filter((event) => event.event !== 'phase-started' && event.event !== 'phase-finished')).toEqual([
    expect.objectContaining({ event: 'build-accepted', buildId, modules: ['base', 'child'] }),
    expect.objectContaining({ event: 'module-started', module: 'base', action: 'build' }),
    expect.objectContaining({ event: 'module-finished', module: 'base', outcome: 'succeeded' }),
    expect.objectContaining({ event: 'module-started', module: 'child', action: 'build' }),
    expect.objectContaining({
      event: 'module-finished',
      module: 'child',
      images: [{ vm: 'vm', disk: 'root', snapshot: 's-vm', cluster: 'lab' }],
    }),
    expect.objectContaining({ event: 'build-finished', buildId, outcome: 'succeeded' }),
  ]);
  expect((await readCatalog(redis, new Set())).newest['child']).toBe('k2');
});

test('a module that succeeds is the next version of its name, unless the newest one is that layer already', async () => {
  const versions = async () =>
    (await readLayers(redis)).images.map((image) => `${image.module}:${image.version} ${image.layerKey}`).sort();
  const reuse = (name: string, layerKey: string) =>
    submit([{ action: 'reuse', name, layerKey, why: '', dependsOn: [] }]);
  const build = async (layerKey: string) => {
    await submit([sampleModule({ name: 'base', layerKey, layerBuild: newId() })]);
    for (const _phase of PHASES) await runNext();
    await reportCluster(redis, 'lab', { leaving: (await readUsage(redis, 'lab')).slots, observed: [] });
  };
  await build('k1');
  await reuse('base', 'k1');
  expect(await versions()).toEqual(['base:1 k1']);
  await build('k2');
  // The text is what it was before: that layer is what the name means now, as if it had been built.
  await reuse('base', 'k1');
  await reuse('twin', 'k1');
  expect(await versions()).toEqual(['base:1 k1', 'base:2 k2', 'base:3 k1', 'twin:1 k1']);
  const { newest, layers } = await readLayers(redis);
  expect(Object.fromEntries(newest)).toEqual({ base: 'k1', twin: 'k1' });

  // Who joins a layer build under another name gets a version of that name.
  const layerBuild = newId();
  await submit([sampleModule({ name: 'one', layerKey: 'k3', layerBuild: layerBuild })]);
  await submit([sampleModule({ name: 'two', layerKey: 'k3', layerBuild: newId() })]);
  for (const _phase of PHASES) await runNext();
  expect(await versions()).toContain('two:1 k3');

  const first = layers.get('k1');
  await forgetLayer(redis, first ?? layerRecord());
  expect(await versions()).toEqual(['base:2 k2', 'one:1 k3', 'two:1 k3']);
  expect((await readLayers(redis)).newest.get('base')).toBe('k2');
  // A number is never given twice.
  await build('k1');
  expect(await versions()).toContain('base:4 k1');
});

test('a layer of a farm of before keeps the name in its record when it gets another one', async () => {
  const { createdAt, ...record } = layerRecord({ layerKey: 'k1', version: 4 });
  await redis.hset(KEYS.layers, 'k1', JSON.stringify({ ...record, createdAtMs: Date.parse(createdAt) }));
  await redis.hset(KEYS.newest, 'base', 'k1');
  await redis.hset('{farm}:versions', 'base', 4);
  const reuse = (name: string) => submit([{ action: 'reuse', name, layerKey: 'k1', why: '', dependsOn: [] }]);
  const versions = async () =>
    (await readLayers(redis)).images.map(({ module, version }) => `${module}:${version}`).sort();
  await reuse('base');
  expect(await versions()).toEqual(['base:4']);
  await reuse('twin');
  expect(await versions()).toEqual(['base:4', 'twin:1']);
  expect((await readLayers(redis)).images.find(({ module }) => module === 'base')?.namedAt).toBe(createdAt);
});

test('a tag is at one version at a time, and goes with it', async () => {
  for (const [layerKey, version] of [
    ['k1', 1],
    ['k2', 2],
  ] as const)
    await restoreLayer(redis, layerRecord({ layerKey, version, layerBuild: layerKey }));
  const [one, two] = (await readLayers(redis)).images.toSorted((a, b) => a.version - b.version);
  if (!one || !two) throw new Error('Two versions were restored.');
  const order = { tag: 'stable', by: 'ann' };
  expect(await tagImage(redis, one, order)).toBeNull();
  expect(await tagImage(redis, two, order)).toBe(1);
  expect((await readLayers(redis)).tags).toMatchObject([
    { module: 'base', tag: 'stable', version: 2, layerKey: 'k2', by: 'ann' },
  ]);
  await expect(tagImage(redis, { ...one, version: 7 }, order)).rejects.toThrow('base:7 was removed');
  expect(await untagImage(redis, 'base', 'stable')).toBe(2);
  expect(await untagImage(redis, 'base', 'stable')).toBeNull();
  await tagImage(redis, two, order);
  await forgetLayer(redis, layerRecord({ layerKey: 'k2', layerBuild: 'k2' }));
  expect(await redis.exists(KEYS.tags)).toBe(0);
  await expect(tagImage(redis, two, order)).rejects.toThrow('base:2 was removed');
});

test('a failed step is kept for a person, whose answer the next worker finds, and whose layer is no longer that of its recipe', async () => {
  const module = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), timeoutMs: 60_000 });
  const reply = { buildId: newId(), idempotencyKey: null, digest: '', retentionMs: 60_000, modules: [module] };
  await submitBuild(redis, { ...reply, keepMs: 5_000, pauseBefore: ['3'] });
  await runNext();
  await runNext();
  const [job] = await take();
  const claim = await claimOne(job);
  expect(claim).toMatchObject({ keepMs: 5_000, pauseBefore: ['3'] });
  const about = { module: 'base', vm: 'vm', step: 2, name: null, type: 'shell', instructions: 'It broke.' };
  const waiting = (attempt: number, why: 'failed' | 'before' = 'failed') =>
    ({ event: 'handbuild-waiting', ...about, kept: { why, attempt, until: 1 } }) as const;
  expect(await store.lastPause(claim)).toBeNull();
  // The build pauses before the step, and then the step fails.
  expect(await store.pause(claim, waiting(0, 'before'), 5_000)).toMatchObject({ state: 'waiting' });
  expect(await store.lastPause(claim)).toMatchObject({ step: 2, kept: { why: 'before', attempt: 0 } });
  expect(await continueHandbuild(redis, module.layerBuild, { vm: 'vm' })).toBe(2);
  expect(await store.pause(claim, waiting(0), 5_000)).toMatchObject({ state: 'waiting' });
  // The time of the module is paused meanwhile.
  expect(await redis.hget(KEYS.layerBuild(module.layerBuild), 'activeSince')).toBeNull();
  const place = { cluster: 'lab', layerBuild: module.layerBuild, vm: 'vm' };
  expect(await readHandbuild(redis, place)).toBe(2);
  expect(await continueHandbuild(redis, module.layerBuild, { vm: 'vm', answer: 'retry' })).toBe(2);
  expect(await redis.hget(KEYS.layerBuild(module.layerBuild), 'activeSince')).not.toBeNull();

  const next = await claimOne(job);
  expect(await store.lastPause(next)).toEqual({ step: 2, kept: { why: 'failed', attempt: 0, message: 'It broke.' } });
  expect(await store.pause(next, waiting(0), 5_000)).toMatchObject({ state: 'continued', answer: 'retry' });
  expect(await store.pause(next, waiting(1), 5_000)).toMatchObject({ state: 'waiting' });
  expect(await store.lastPause(next)).toMatchObject({ kept: { attempt: 1 } });
  expect(await store.pause(next, waiting(1), 0)).toMatchObject({ state: 'over' });
  expect(await continueHandbuild(redis, module.layerBuild, { vm: 'vm', answer: 'skip' })).toBeNull();
  await store.commit(next, { outcome: 'succeeded' });
  await runNext();
  const record = (await readLayers(redis)).layers.get('k1');
  expect(record && isChangedByHand(record)).toBe(true);
});

/** A clone of two machines whose disks are there. */
async function submitClone(ttlMs: number) {
  const sample = sampleModule({ name: 'lab', layerKey: 'k1', layerBuild: newId(), vms: ['a', 'b'], timeoutMs: 60_000 });
  const run = { id: 'r', image: 'lab:3', ttlMs, authorizedKey: null };
  const module = { ...sample, spec: { ...sample.spec, module: { ...sample.spec.module, run } } };
  const buildId = newId();
  const submitted = { idempotencyKey: null, digest: '', retentionMs: 60_000, run: run.image };
  await submitBuild(redis, { ...submitted, buildId, modules: [module] });
  for (const job of await take()) await store.commit(await claimOne(job), { outcome: 'succeeded' });
  return { buildId, layerBuild: module.layerBuild };
}

test('a clone is left to people when its machines are up, holds its slots, and ends with its time', async () => {
  const { buildId, layerBuild } = await submitClone(300);
  const boots = await take();
  const place = (vm: string) => ({ cluster: 'lab', layerBuild, vm });
  expect(await readHandbuild(redis, place('a'))).toBeNull();
  for (const job of boots) await store.commit(await claimOne(job), { outcome: 'succeeded' });
  // Nothing of it occupies a worker from now on, nor can anybody take it for a step.
  expect(await take()).toEqual([]);
  expect(await readUsage(redis, 'lab')).toMatchObject({ vms: 2 });
  expect(await readHandbuild(redis, place('a'))).not.toBeNull();
  expect(await continueHandbuild(redis, layerBuild, { vm: 'a' })).toBeNull();
  expect(await countHandbuilds(redis, 'lab')).toEqual({ waiting: 0, running: 2 });
  expect(await readRuns(redis)).toEqual([buildId]);
  expect((await readBuild(redis, buildId))?.state).toBe('running');
  await expect.poll(() => endOverdue(redis)).toBeNull();
  expect((await readBuild(redis, buildId))?.state).toBe('cancelled');
  expect([await readRuns(redis), await readHandbuild(redis, place('a'))]).toEqual([[], null]);
  expect((await readLayers(redis)).layers.size).toBe(0);
});

test('a clone whose machines go off gives their slots back, and ends with the last of them', async () => {
  const { buildId, layerBuild } = await submitClone(600_000);
  for (const job of await take()) await store.commit(await claimOne(job), { outcome: 'succeeded' });
  const [a, b] = ['a', 'b'].map((vm) => ({ layerBuild, generation: 1, vm, cpu: 1, memoryBytes: 1024 ** 3 }));
  if (!a || !b) throw new Error('It has two machines.');
  const show = async (observed: (typeof a)[]) =>
    reportCluster(redis, 'lab', { leaving: [], running: (await readUsage(redis, 'lab')).slots, observed });
  expect(await show([a, b])).toBe(0);
  // Not known when the cluster was asked, so it may have started since.
  expect(await reportCluster(redis, 'lab', { leaving: [], observed: [] })).toBe(0);
  expect(await show([b])).toBe(1);
  expect(await readHandbuild(redis, { cluster: 'lab', layerBuild, vm: 'a' })).toBeNull();
  expect(await countHandbuilds(redis, 'lab')).toEqual({ waiting: 0, running: 1 });
  expect((await readBuild(redis, buildId))?.state).toBe('running');
  expect(await show([])).toBe(1);
  expect((await readBuild(redis, buildId))?.state).toBe('cancelled');
  expect(await readRuns(redis)).toEqual([]);
});

test('admits the machines of a module all or nothing, and frees them by what the cluster shows', async () => {
  const big = sampleModule({ name: 'big', layerKey: 'k1', layerBuild: newId(), vms: ['a', 'b', 'c'] });
  const other = sampleModule({ name: 'other', layerKey: 'k2', layerBuild: newId(), vms: ['d', 'e'] });
  await submit([big]);
  const imports = await take();
  expect(imports).toHaveLength(3);
  for (const job of imports) await store.commit(await claimOne(job), { outcome: 'succeeded' });
  await submit([other]);
  const boots = await take();
  expect(boots.map((job) => job.reference.phase).sort()).toEqual([
    'boot-keystrokes',
    'boot-keystrokes',
    'boot-keystrokes',
    'import',
    'import',
  ]);
  for (const job of boots) await store.commit(await claimOne(job), { outcome: 'succeeded' });
  expect((await take()).map((job) => job.reference.phase)).toEqual(['provision', 'provision', 'provision']);
  expect(await readUsage(redis, 'lab')).toMatchObject({ imports: 0, vms: 3, cpu: 3 });

  const first = { layerBuild: big.layerBuild, generation: 1, vm: 'a', cpu: 1, memoryBytes: 1024 ** 3 };
  const slots = (await readUsage(redis, 'lab')).slots;
  expect(await reportCluster(redis, 'lab', { leaving: slots, observed: [first] })).toBe(0);
});

test('counts machines that hold no slot against the limits', async () => {
  const orphan = { layerBuild: newId(), generation: 1, vm: 'x', cpu: 6, memoryBytes: 1024 ** 3 };
  await reportCluster(redis, 'lab', { leaving: [], observed: [orphan, { ...orphan, vm: 'y', cpu: 2 }] });
  await submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  await runNext();
  expect(await take()).toEqual([]);
  await reportCluster(redis, 'lab', { leaving: [], observed: [orphan] });
  expect(await take()).toHaveLength(1);
});

test('waits for workers before it starts machines', async () => {
  await advertise(redis, { worker: 'w', phase: 'provision', cluster: 'lab', capacity: 0 });
  await submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  await runNext();
  expect(await take()).toEqual([]);
  await advertise(redis, { worker: 'w', phase: 'provision', cluster: 'lab', capacity: 1 });
  expect(await take()).toHaveLength(1);
});

test('makes a layer once for several builds, and continues while one of them wants it', async () => {
  const one = sampleModule({ name: 'one', layerKey: 'k1', layerBuild: newId() });
  const two = sampleModule({ name: 'two', layerKey: 'k1', layerBuild: newId() });
  const first = await submit([one]);
  const second = await submit([two]);
  const modules = [{ name: 'two', action: 'join', why: 'is being built already', layerBuild: one.layerBuild }];
  expect(second.reply).toMatchObject({ outcome: 'accepted', buildId: second.buildId, modules });
  await runNext();
  expect(await cancelBuild(redis, first.buildId)).toBe(true);
  for (let rest = 0; rest < 3; rest += 1) await runNext();
  expect((await eventsOf(first.buildId)).at(-1)).toMatchObject({ event: 'build-finished', outcome: 'cancelled' });
  expect((await eventsOf(second.buildId)).at(-1)).toMatchObject({
    event: 'build-finished',
    outcome: 'succeeded',
    modules: [{ name: 'two', action: 'join', outcome: 'succeeded' }],
  });
});

test('asks executors of a cancelled build to stop, and frees their slots when they have', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const child = sampleModule({ name: 'child', layerKey: 'k2', layerBuild: newId(), parents: [base] });
  const { buildId } = await submit([base, child]);
  await runNext();
  const [boot] = await take();
  const claim = await claimOne(boot);
  const stopped = await store.watch(claim, new AbortController().signal);
  const aborted = new Promise((resolve) => stopped.addEventListener('abort', () => resolve(stopped.reason.code)));
  await cancelBuild(redis, buildId);
  expect(await aborted).toBe('Cancelled');
  await expect(store.assertCurrent(claim)).rejects.toMatchObject({ code: 'Cancelled' });
  expect((await readUsage(redis, 'lab')).slots).toMatchObject([{ vm: 'vm', stage: 'boot' }]);
  await store.commit(claim, { outcome: 'cancelled' });
  const { slots } = await readUsage(redis, 'lab');
  expect(slots).toMatchObject([{ vm: 'vm', stage: 'leaving' }]);
  expect(await reportCluster(redis, 'lab', { leaving: slots, observed: [] })).toBe(1);
  expect(await take()).toEqual([]);
  expect(await redis.smembers('{farm}:living')).toEqual([]);
});

test('lets only the last claim commit, once', async () => {
  await submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  const [job] = await take();
  const slow = await claimOne(job);
  const passed = await store.watch(slow, new AbortController().signal);
  const aborted = new Promise((resolve) => passed.addEventListener('abort', () => resolve(passed.reason.code)));
  const fast = await claimOne(job);
  expect(fast).toMatchObject({ epoch: slow.epoch + 1, formerClaims: 1 });
  expect(await aborted).toBe('Superseded');
  await expect(store.commit(slow, { outcome: 'succeeded' })).rejects.toMatchObject({ code: 'Superseded' });
  await store.commit(fast, { outcome: 'succeeded' });
  await store.commit(fast, { outcome: 'succeeded' });
  expect(await take()).toHaveLength(1);
  expect(job && (await store.claim(job.reference, 'w2'))).toBeNull();
});

test('tries a fault again in the same generation, five times, then gives up', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const child = sampleModule({ name: 'child', layerKey: 'k2', layerBuild: newId(), parents: [base] });
  const { buildId } = await submit([base, child]);
  let tries = 0;
  await expect
    .poll(async () => {
      for (const job of await take()) {
        tries += 1;
        await store.commit(await claimOne(job), { outcome: 'failed', failure: failure('Fault') });
      }
      return redis.smembers('{farm}:living');
    })
    .toEqual([]);
  expect(tries).toBe(6);
  expect((await eventsOf(buildId)).at(-1)).toMatchObject({
    outcome: 'failed',
    modules: expect.arrayContaining([
      expect.objectContaining({ name: 'base', failure: expect.objectContaining({ reason: 'RetriesExhausted' }) }),
      expect.objectContaining({ name: 'child', failure: expect.objectContaining({ reason: 'ParentFailed' }) }),
    ]),
  });
});

test('starts a new generation of the whole module where the disks cannot be trusted, three in all', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const { buildId } = await submit([base]);
  for (const generation of [1, 2, 3]) {
    expect((await runNext()).job).toMatchObject({ phase: 'import', generation });
    const [boot] = await take();
    const claim = await claimOne(boot);
    expect(claim).toMatchObject({ formerClaims: 0 });
    await store.commit(claim, { outcome: 'failed', failure: failure('TypingInterrupted') });
    const { slots } = await readUsage(redis, 'lab');
    expect(slots.map((slot) => slot.stage)).toEqual(Array(slots.length).fill('leaving'));
  }
  expect((await eventsOf(buildId)).at(-1)).toMatchObject({ outcome: 'failed' });
});

test('repeats a failed module as often as its `retries`', async () => {
  const { buildId } = await submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), retries: 1 })]);
  for (const generation of [1, 2]) {
    const [job] = await take();
    const claim = await claimOne(job);
    expect(claim.job.generation).toBe(generation);
    await store.commit(claim, { outcome: 'failed', failure: failure('ImportFailed') });
  }
  expect((await eventsOf(buildId)).at(-1)).toMatchObject({ outcome: 'failed' });
});

test('fails a module that is over its time', async () => {
  const { buildId } = await submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), timeoutMs: 1 })]);
  const [job] = await take();
  const claim = await claimOne(job);
  const check = async () => {
    await endOverdue(redis);
    return store.assertCurrent(claim).then(
      () => 'current',
      (error: unknown) => error instanceof FarmError && error.code,
    );
  };
  await expect.poll(check).toBe('Cancelled');
  await store.commit(claim, { outcome: 'cancelled' });
  expect((await eventsOf(buildId)).at(-1)).toMatchObject({ modules: [{ failure: { reason: 'ModuleTimeout' } }] });
});

test('gives a lost job another dispatch, and fences the worker that still ran it', async () => {
  await submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  const [job] = await take();
  const lost = await claimOne(job);
  const again = job && (await redispatch(redis, job.reference));
  expect(again?.reference.dispatch).toBe(2);
  expect(await store.claim(lost.job, 'w1')).toBeNull();
  await expect(store.commit(lost, { outcome: 'succeeded' })).rejects.toMatchObject({ code: 'Superseded' });
  expect(await redispatch(redis, lost.job)).toBeNull();
  await store.commit(await claimOne(again ?? undefined), { outcome: 'succeeded' });
});

test('answers the same request under the same key with the same build, and refuses another one', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const { buildId, reply } = await submit([base], 'key');
  // Planned again it may be another layer: what the first request began is what counts.
  const again = sampleModule({ name: 'base', layerKey: 'k2', recipeKey: 'k1', layerBuild: newId() });
  expect((await submit([again], 'key')).reply).toEqual({ ...reply, outcome: 'existing', buildId });
  const other = sampleModule({ name: 'base', layerKey: 'k9', layerBuild: newId() });
  await expect(submit([other], 'key')).rejects.toMatchObject({ code: 'IdempotencyConflict' });
});

test('refuses a plan that counted on a layer that has gone, or did not count on one that has come', async () => {
  const gone: SubmittedModule = { action: 'reuse', name: 'base', layerKey: 'k1', why: '', dependsOn: [] };
  const { reply } = await submit([gone]);
  expect(reply).toEqual({ outcome: 'stale', layerKey: 'k1' });
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  await submit([base]);
  for (const phase of PHASES) expect((await runNext()).job.phase).toBe(phase);
  expect((await submit([{ ...base, layerBuild: newId() }])).reply).toEqual({ outcome: 'stale', layerKey: 'k1' });
  const reused = await submit([gone]);
  expect((await eventsOf(reused.buildId)).map((event) => event.event)).toEqual([
    'build-accepted',
    'module-reused',
    'module-finished',
    'build-finished',
  ]);
});

test('keeps both layers of a recipe, and starts each child from its own', async () => {
  const [old, renewed] = ['k1', 'k1-again'].map((layerKey) =>
    sampleModule({ name: 'base', layerKey, recipeKey: 'k1', layerBuild: newId() }),
  );
  if (!old || !renewed) throw new Error('Two layers were made up.');
  const childOf = (parent: BuiltModule) => {
    const parents = [{ name: 'base', layerKey: parent.layerKey }];
    return sampleModule({ name: 'child', layerKey: `child of ${parent.layerKey}`, layerBuild: newId(), parents });
  };
  await submit([old, childOf(old)]);
  for (const _phase of [...PHASES, ...PHASES]) await runNext();
  // Asked for twice at the same time it is planned twice and built once.
  const [first, second] = [await submit([renewed]), await submit([{ ...renewed, layerBuild: newId() }])];
  expect([first.reply, second.reply]).toMatchObject([
    { modules: [{ action: 'build', layerBuild: renewed.layerBuild }] },
    { modules: [{ action: 'join', layerBuild: renewed.layerBuild }] },
  ]);
  for (const _phase of PHASES) await runNext();
  const { layers, newest } = await readLayers(redis);
  expect(
    [...layers.values()]
      .map(({ module, version, layerKey, recipeKey, parents }) => [
        `${module}:${version}`,
        ...[layerKey, recipeKey, parents],
      ])
      .sort(),
  ).toEqual([
    ['base:1', 'k1', 'k1', []],
    ['base:2', 'k1-again', 'k1', []],
    ['child:1', 'child of k1', 'child of k1', ['k1']],
  ]);
  expect(newest).toEqual(
    new Map([
      ['base', 'k1-again'],
      ['child', 'child of k1'],
    ]),
  );
  await submit([childOf(renewed)]);
  const claim = await claimOne((await take())[0]);
  expect(Object.values(claim.parents).map(({ version }) => version)).toEqual([2]);
});

test('a layer build that was submitted before recipes existed makes the first layer of its recipe', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  await submit([base]);
  await redis.hdel(KEYS.layerBuild(base.layerBuild), 'recipeKey');
  for (const _phase of PHASES) await runNext();
  expect((await readLayers(redis)).layers.get('k1')).toMatchObject({ recipeKey: 'k1' });
});
