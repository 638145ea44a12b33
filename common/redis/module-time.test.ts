import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { endOverdue, redispatch } from './dispatches.ts';
import { KEYS } from './keys.ts';
import { readUsage, reportCluster } from './slots.ts';
import { cancelBuild } from './submissions.ts';

let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

const stateOf = (layerBuild: string) => farm.redis.hget(KEYS.layerBuild(layerBuild), 'state');

test("modules that wait for room are not failed by their timeout: it counts a module's own work", async () => {
  const modules = Array.from({ length: 60 }, (_, index) =>
    sampleModule({ name: `m${index}`, layerKey: `k${index}`, layerBuild: newId(), timeoutMs: 3_000 }),
  );
  const { buildId } = await farm.submit(modules);
  // Each phase takes 92 ms; four modules at a time have room.
  for (let round = 0; (await farm.redis.scard(KEYS.living)) > 0; round += 1) {
    expect(round).toBeLessThan(1_000);
    const claims = await Promise.all((await farm.take()).map((job) => farm.claim(job)));
    await farm.time.pass(92);
    await endOverdue(farm.redis);
    for (const claim of claims) await farm.succeed(claim);
    const leaving = (await readUsage(farm.redis, 'lab')).slots.filter(({ stage }) => stage === 'leaving');
    await reportCluster(farm.redis, 'lab', { leaving, observed: [] });
    await farm.advertise();
  }
  const last = (await farm.events(buildId)).at(-1);
  expect(last).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
});

test('neither a restart of a phase nor a new generation gives a module its time again', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), timeoutMs: 10_000 });
  const { buildId } = await farm.submit([base]);
  const lost = await farm.claim((await farm.take())[0]);
  await farm.time.pass(4_000);
  // The queue lost the job; no worker has it for an hour.
  const again = await redispatch(farm.redis, lost.job);
  await farm.time.pass(3_600_000);
  await farm.advertise();
  await farm.succeed(await farm.claim(again ?? undefined));
  const boot = await farm.claim((await farm.take())[0]);
  await farm.time.pass(4_000);
  await farm.fail(boot, 'GuestCrashed');
  await farm.time.pass(3_600_000);
  const next = await farm.claim((await farm.take())[0]);
  expect(next.job.generation).toBe(2);
  expect(await endOverdue(farm.redis)).toBeLessThanOrEqual(2_000);
  await farm.store.assertCurrent(next);
  await farm.time.pass(2_001);
  await endOverdue(farm.redis);
  await expect(farm.store.assertCurrent(next)).rejects.toMatchObject({ code: 'Cancelled' });
  await farm.store.commit(next, { outcome: 'cancelled' });
  const message = expect.stringMatching(/^The module worked for 1\d\.\d s, its `timeout` is 10\.0 s\./);
  expect((await farm.events(buildId)).at(-1)).toMatchObject({
    modules: [{ failure: { reason: 'ModuleTimeout', message } }],
  });
});

test('the timeout comes also while a module stops to start again', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), vms: ['a', 'b'], timeoutMs: 10_000 });
  const { buildId } = await farm.submit([base]);
  for (const job of await farm.take()) await farm.succeed(await farm.claim(job));
  const [first, second] = await Promise.all((await farm.take()).map((job) => farm.claim(job)));
  if (!first || !second) throw new Error('Two machines boot.');
  await farm.fail(first, 'GuestCrashed');
  await farm.time.pass(10_001);
  await endOverdue(farm.redis);
  await farm.store.commit(second, { outcome: 'cancelled' });
  expect((await farm.events(buildId)).at(-1)).toMatchObject({ modules: [{ failure: { reason: 'ModuleTimeout' } }] });
});

test('a cancelled build ends though an executor never lets go, and what that one does later counts no more', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const { buildId } = await farm.submit([base]);
  await farm.runNext();
  const hung = await farm.claim((await farm.take())[0]);
  await cancelBuild(farm.redis, buildId);
  expect(await stateOf(base.layerBuild)).toBe('stopping');
  await farm.time.pass(59_000);
  await endOverdue(farm.redis);
  expect(await stateOf(base.layerBuild)).toBe('stopping');
  await farm.time.pass(1_001);
  await endOverdue(farm.redis);
  expect(await stateOf(base.layerBuild)).toBe('cancelled');
  expect((await readUsage(farm.redis, 'lab')).slots).toMatchObject([{ stage: 'leaving' }]);
  await expect(farm.store.assertCurrent(hung)).rejects.toMatchObject({ code: 'Superseded' });
  await expect(farm.succeed(hung)).rejects.toMatchObject({ code: 'Superseded' });
  expect(await farm.redis.exists('{farm}:deadlines', '{farm}:placed', '{farm}:outbox')).toBe(0);
});

test('schedulers hear of a deadline that is sooner than all others', async () => {
  const heard: string[] = [];
  farm.notices.listen(({ kind }) => heard.push(kind));
  await farm.submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), timeoutMs: 1_000 })]);
  await farm.claim((await farm.take())[0]);
  await expect.poll(() => heard).toContain('deadline');
});
