import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { type FarmState, newId, sampleFailure } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import type { PhaseStore } from '../contracts/phase-store.ts';
import { FarmError } from '../errors/farm-error.ts';
import { endOverdue, redispatch } from './dispatches.ts';
import { readUsage } from './slots.ts';

let farm: FarmState;
let redis: Redis;
let store: PhaseStore;
useFarmState((opened) => {
  farm = opened;
  ({ redis, store } = opened);
});

test('lets only the last claim commit, once', async () => {
  await farm.submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  const [job] = await farm.take();
  const slow = await farm.claim(job);
  const passed = await store.watch(slow, new AbortController().signal);
  const aborted = new Promise((resolve) => passed.addEventListener('abort', () => resolve(passed.reason.code)));
  const fast = await farm.claim(job);
  expect(fast).toMatchObject({ epoch: slow.epoch + 1, formerClaims: 1 });
  expect(await aborted).toBe('Superseded');
  await expect(store.commit(slow, { outcome: 'succeeded' })).rejects.toMatchObject({ code: 'Superseded' });
  await store.commit(fast, { outcome: 'succeeded' });
  await store.commit(fast, { outcome: 'succeeded' });
  expect(await farm.take()).toHaveLength(1);
  expect(job && (await store.claim(job.reference, 'w2'))).toBeNull();
});

test('tries a fault again in the same generation, five times, then gives up', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const child = sampleModule({ name: 'child', layerKey: 'k2', layerBuild: newId(), parents: [base] });
  const { buildId } = await farm.submit([base, child]);
  let tries = 0;
  await expect
    .poll(async () => {
      for (const job of await farm.take()) {
        tries += 1;
        await store.commit(await farm.claim(job), { outcome: 'failed', failure: sampleFailure('Fault') });
      }
      return redis.smembers('{farm}:living');
    })
    .toEqual([]);
  expect(tries).toBe(6);
  expect((await farm.events(buildId)).at(-1)).toMatchObject({
    outcome: 'failed',
    modules: expect.arrayContaining([
      expect.objectContaining({ name: 'base', failure: expect.objectContaining({ reason: 'RetriesExhausted' }) }),
      expect.objectContaining({ name: 'child', failure: expect.objectContaining({ reason: 'ParentFailed' }) }),
    ]),
  });
});

test('starts a new generation of the whole module where the disks cannot be trusted, three in all', async () => {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  const { buildId } = await farm.submit([base]);
  for (const generation of [1, 2, 3]) {
    expect((await farm.runNext()).job).toMatchObject({ phase: 'import', generation });
    const [boot] = await farm.take();
    const claim = await farm.claim(boot);
    expect(claim).toMatchObject({ formerClaims: 0 });
    await store.commit(claim, { outcome: 'failed', failure: sampleFailure('TypingInterrupted') });
    const { slots } = await readUsage(redis, 'lab');
    expect(slots.map((slot) => slot.stage)).toEqual(Array(slots.length).fill('leaving'));
  }
  expect((await farm.events(buildId)).at(-1)).toMatchObject({ outcome: 'failed' });
});

test('repeats a failed module as often as its `retries`', async () => {
  const { buildId } = await farm.submit([
    sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), retries: 1 }),
  ]);
  for (const generation of [1, 2]) {
    const [job] = await farm.take();
    const claim = await farm.claim(job);
    expect(claim.job.generation).toBe(generation);
    await store.commit(claim, { outcome: 'failed', failure: sampleFailure('ImportFailed') });
  }
  expect((await farm.events(buildId)).at(-1)).toMatchObject({ outcome: 'failed' });
});

test('fails a module that is over its time', async () => {
  const { buildId } = await farm.submit([
    sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), timeoutMs: 1 }),
  ]);
  const [job] = await farm.take();
  const claim = await farm.claim(job);
  const check = async () => {
    await endOverdue(redis);
    return store.assertCurrent(claim).then(
      () => 'current',
      (error: unknown) => error instanceof FarmError && error.code,
    );
  };
  await expect.poll(check).toBe('Cancelled');
  await store.commit(claim, { outcome: 'cancelled' });
  expect((await farm.events(buildId)).at(-1)).toMatchObject({ modules: [{ failure: { reason: 'ModuleTimeout' } }] });
});

test('gives a lost job another dispatch, and fences the worker that still ran it', async () => {
  await farm.submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  const [job] = await farm.take();
  const lost = await farm.claim(job);
  const again = job && (await redispatch(redis, job.reference));
  expect(again?.reference.dispatch).toBe(2);
  expect(await store.claim(lost.job, 'w1')).toBeNull();
  await expect(store.commit(lost, { outcome: 'succeeded' })).rejects.toMatchObject({ code: 'Superseded' });
  expect(await redispatch(redis, lost.job)).toBeNull();
  await store.commit(await farm.claim(again ?? undefined), { outcome: 'succeeded' });
});
