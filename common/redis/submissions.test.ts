import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import type { PhaseStore } from '../contracts/phase-store.ts';
import { PHASES } from '../contracts/phases.ts';
import { readUsage, reportCluster } from './slots.ts';
import { cancelBuild } from './submissions.ts';
import type { SubmittedModule } from './write-submission.ts';

let farm: FarmState;
let redis: Redis;
let store: PhaseStore;
useFarmState((opened) => {
  farm = opened;
  ({ redis, store } = opened);
});

test('makes a layer once for several builds, and continues while one of them wants it', async () => {
  const one = sampleModule({ name: 'one', layerKey: 'k1', layerBuild: newId() });
  const two = sampleModule({ name: 'two', layerKey: 'k1', layerBuild: newId() });
  const first = await farm.submit([one]);
  const second = await farm.submit([two]);
  const modules = [{ name: 'two', action: 'join', why: 'is being built already', layerBuild: one.layerBuild }];
  expect(second.reply).toMatchObject({ outcome: 'accepted', buildId: second.buildId, modules });
  await farm.runNext();
  expect(await cancelBuild(redis, first.buildId)).toBe(true);
  for (let rest = 0; rest < 3; rest += 1) await farm.runNext();
  expect((await farm.events(first.buildId)).at(-1)).toMatchObject({ event: 'build-finished', outcome: 'cancelled' });
  expect((await farm.events(second.buildId)).at(-1)).toMatchObject({
    event: 'build-finished',
    outcome: 'succeeded',
    modules: [{ name: 'two', action: 'join', outcome: 'succeeded' }],
  });
});

test('asks executors of a cancelled build to stop, and frees their slots when they have', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const child = sampleModule({ name: 'child', layerKey: 'k2', layerBuild: newId(), parents: [base] });
  const { buildId } = await farm.submit([base, child]);
  await farm.runNext();
  const [boot] = await farm.take();
  const claim = await farm.claim(boot);
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
  expect(await farm.take()).toEqual([]);
  expect(await redis.smembers('{farm}:living')).toEqual([]);
});

test('answers the same request under the same key with the same build, and refuses another one', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const request = { idempotencyKey: 'key', digest: 'k1' };
  const { buildId, reply } = await farm.submit([base], request);
  // Planned again it may be another layer: what the first request began is what counts.
  const again = sampleModule({ name: 'base', layerKey: 'k2', recipeKey: 'k1', layerBuild: newId() });
  expect((await farm.submit([again], request)).reply).toEqual({ ...reply, outcome: 'existing', buildId });
  const other = sampleModule({ name: 'base', layerKey: 'k9', layerBuild: newId() });
  await expect(farm.submit([other], { ...request, digest: 'k9' })).rejects.toMatchObject({
    code: 'IdempotencyConflict',
  });
});

test('refuses a plan that counted on a layer that has gone, or did not count on one that has come', async () => {
  const gone: SubmittedModule = { action: 'reuse', name: 'base', layerKey: 'k1', why: '', dependsOn: [] };
  const { reply } = await farm.submit([gone]);
  expect(reply).toEqual({ outcome: 'stale', layerKey: 'k1' });
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  await farm.submit([base]);
  for (const phase of PHASES) expect((await farm.runNext()).job.phase).toBe(phase);
  expect((await farm.submit([{ ...base, layerBuild: newId() }])).reply).toEqual({ outcome: 'stale', layerKey: 'k1' });
  const reused = await farm.submit([gone]);
  expect((await farm.events(reused.buildId)).map((event) => event.event)).toEqual([
    'build-accepted',
    'module-reused',
    'module-finished',
    'build-finished',
  ]);
});
