import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { PHASES } from '../contracts/phases.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { endOverdue } from './dispatches.ts';
import { KEYS } from './keys.ts';
import { reportTrouble } from './slots.ts';
import { submitBuild } from './submissions.ts';

const CLUSTERS = ['lab', 'other'];
const resources = new ReleaseStack();
let farm: FarmState;

beforeAll(async () => {
  farm = await FarmState.open(resources);
});
beforeEach(() => farm.reset(CLUSTERS));
afterAll(() => resources.close());

/** Time passes; workers are still there. */
async function pass(ms: number): Promise<void> {
  await farm.time.pass(ms);
  for (const cluster of CLUSTERS) await farm.advertise(cluster);
}

test.each([2, 10, 60])('an outage of %i minutes costs the modules of that cluster time only', async (minutes) => {
  const [begun, waiting] = ['begun', 'waiting'].map((name) =>
    sampleModule({ name, layerKey: name, layerBuild: newId(), timeoutMs: 60_000 }),
  );
  const other = sampleModule({ name: 'other', layerKey: 'other', layerBuild: newId(), cluster: 'other' });
  if (!begun || !waiting) throw new Error('There are two.');
  const { buildId } = await farm.submit([begun]);
  await farm.runNext();
  const boot = await farm.claim((await farm.take())[0]);
  await reportTrouble(farm.redis, 'lab', 'GET /version did not answer.');
  const later = await farm.submit([waiting, other]);
  await pass(30_000);
  // What its executor makes of the silence; then again, of every try that was under way.
  await farm.fail(boot, 'GuestNeverAnswered');
  for (let minute = 0; minute < minutes; minute += 1) {
    await pass(60_000);
    await endOverdue(farm.redis);
    expect(await farm.take()).toEqual([]);
  }
  for (const _phase of PHASES) await farm.runNext('other');
  await reportTrouble(farm.redis, 'lab', null);

  const jobs = await farm.take();
  expect(jobs.map(({ reference }) => reference.phase).sort()).toEqual(['boot-keystrokes', 'import']);
  for (const job of jobs) await farm.succeed(await farm.claim(job));
  for (let rest = 0; rest < 5; rest += 1) {
    for (const job of await farm.take()) await farm.succeed(await farm.claim(job));
  }
  for (const id of [buildId, later.buildId]) {
    expect((await farm.events(id)).at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
  }
});

test('neither faults nor lost consoles nor the clock count while the cluster is away', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), timeoutMs: 600_000 });
  await farm.submit([base]);
  for (let outage = 0; outage < 8; outage += 1) {
    const claim = await farm.claim((await farm.take())[0]);
    expect(claim.job).toMatchObject({ generation: 1, phase: 'import' });
    await reportTrouble(farm.redis, 'lab', 'It does not answer.');
    await pass(3_600_000);
    await endOverdue(farm.redis);
    await farm.store.assertCurrent(claim);
    await farm.fail(claim, 'Fault');
    await reportTrouble(farm.redis, 'lab', null);
    await pass(10);
  }
  await farm.runNext();
  for (let generation = 1; generation <= 5; generation += 1) {
    const claim = await farm.claim((await farm.take())[0]);
    expect(claim.job).toMatchObject({ generation, phase: 'boot-keystrokes' });
    await reportTrouble(farm.redis, 'lab', 'It does not answer.');
    await farm.fail(claim, 'TypingInterrupted');
    await reportTrouble(farm.redis, 'lab', null);
    await farm.redis.del(KEYS.slots('lab'));
    await pass(10);
    await farm.runNext();
  }
  expect(await farm.redis.hget(KEYS.layerBuild(base.layerBuild), 'crashes')).toBe('0');
});

test('a failure of the module itself is final in an outage too', async () => {
  const { buildId } = await farm.submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  const claim = await farm.claim((await farm.take())[0]);
  await reportTrouble(farm.redis, 'lab', 'It does not answer.');
  await farm.fail(claim, 'ChecksumMismatch');
  expect((await farm.events(buildId)).at(-1)).toMatchObject({ modules: [{ failure: { reason: 'ChecksumMismatch' } }] });
});

test('workers that are stopped on purpose, and nodes that are drained, cost no generation of the allowance', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  await farm.submit([base]);
  for (let generation = 1; generation <= 6; generation += 1) {
    await farm.runNext();
    const job = (await farm.take())[0];
    const drained = await farm.claim(job);
    expect(drained.job).toMatchObject({ generation, phase: 'boot-keystrokes' });
    if (generation % 2 === 0) await farm.fail(drained, 'MachineEvicted');
    else {
      await farm.store.commit(drained, { outcome: 'requeue', afterMs: 0, why: 'It stops.', isPlanned: true });
      await farm.fail(await farm.claim((await farm.take())[0]), 'TypingInterrupted');
    }
    await farm.redis.del(KEYS.slots('lab'));
    await pass(10);
  }
  expect(await farm.redis.hget(KEYS.layerBuild(base.layerBuild), 'crashes')).toBe('0');
});

test('a phase that ends its workers again and again fails with that reason', async () => {
  const { buildId } = await farm.submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  const [job] = await farm.take();
  for (let lost = 0; lost < 10; lost += 1) {
    await farm.claim(job);
    await pass(15_000);
  }
  expect(job && (await farm.store.claim(job.reference, 'w'))).toBeNull();
  const message = 'Phase import of VM "vm" was begun 10 times, and each time its worker ended within 10 minutes.';
  expect((await farm.events(buildId)).at(-1)).toMatchObject({
    modules: [{ outcome: 'failed', failure: { reason: 'WorkerLost', message } }],
  });
});

test('no build joins a layer build that is bound to fail, and below a diamond each module ends once', async () => {
  const of = (name: string, parents: ReturnType<typeof sampleModule>[] = []) =>
    sampleModule({ name, layerKey: name, layerBuild: newId(), parents, timeoutMs: 1_000 });
  const root = of('root');
  const left = of('left', [root]);
  const top = of('top', [root, left]);
  const { buildId } = await farm.submit([root, left, top]);
  const ended: string[] = [];
  farm.notices.listen((notice) => notice.kind === 'ended' && ended.push(notice.layerBuild));
  const [job] = await farm.take();
  const claim = await farm.claim(job);
  const hung = await farm.store.claim(claim.job, 'w2');
  // It stops: its other executor has not let go yet.
  await pass(1_001);
  await endOverdue(farm.redis);
  expect(await farm.redis.hgetall('{farm}:building')).toEqual({});
  const again = [root, left, top].map((module) => ({ ...module, layerBuild: newId() }));
  const request = { buildId: newId(), idempotencyKey: null, digest: '', retentionMs: 60_000, modules: again };
  expect(await submitBuild(farm.redis, request)).toMatchObject({
    modules: [{ action: 'build' }, { action: 'build' }, { action: 'build' }],
  });
  if (hung) await farm.store.commit(hung, { outcome: 'cancelled' });
  expect((await farm.events(buildId)).at(-1)).toMatchObject({ outcome: 'failed' });
  await expect.poll(() => [...ended].sort()).toEqual([root, left, top].map(({ layerBuild }) => layerBuild).sort());
});
