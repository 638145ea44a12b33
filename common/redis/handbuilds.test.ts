import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { isChangedByHand } from '../contracts/layers.ts';
import type { PhaseStore } from '../contracts/phase-store.ts';
import { continueHandbuild, readHandbuild } from './handbuilds.ts';
import { KEYS } from './keys.ts';
import { readLayers } from './layers.ts';
import { submitBuild } from './submissions.ts';

let farm: FarmState;
let redis: Redis;
let store: PhaseStore;
useFarmState((opened) => {
  farm = opened;
  ({ redis, store } = opened);
});

test('a failed step is kept for a person, whose answer the next worker finds, and whose layer is no longer that of its recipe', async () => {
  const module = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), timeoutMs: 60_000 });
  const reply = { buildId: newId(), idempotencyKey: null, digest: '', retentionMs: 60_000, modules: [module] };
  await submitBuild(redis, { ...reply, keepMs: 5_000, pauseBefore: ['3'] });
  await farm.runNext();
  await farm.runNext();
  const [job] = await farm.take();
  const claim = await farm.claim(job);
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

  const next = await farm.claim(job);
  expect(await store.lastPause(next)).toEqual({ step: 2, kept: { why: 'failed', attempt: 0, message: 'It broke.' } });
  expect(await store.pause(next, waiting(0), 5_000)).toMatchObject({ state: 'continued', answer: 'retry' });
  expect(await store.pause(next, waiting(1), 5_000)).toMatchObject({ state: 'waiting' });
  expect(await store.lastPause(next)).toMatchObject({ kept: { attempt: 1 } });
  expect(await store.pause(next, waiting(1), 0)).toMatchObject({ state: 'over' });
  expect(await continueHandbuild(redis, module.layerBuild, { vm: 'vm', answer: 'skip' })).toBeNull();
  await store.commit(next, { outcome: 'succeeded' });
  await farm.runNext();
  const record = (await readLayers(redis)).layers.get('k1');
  expect(record && isChangedByHand(record)).toBe(true);
});
