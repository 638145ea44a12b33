import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import type { PhaseStore } from '../contracts/phase-store.ts';
import { readBuild } from './builds.ts';
import { endOverdue } from './dispatches.ts';
import { continueHandbuild, countHandbuilds, readHandbuild } from './handbuilds.ts';
import { readLayers } from './layers.ts';
import { readRuns } from './runs.ts';
import { readUsage, reportCluster } from './slots.ts';
import { submitBuild } from './submissions.ts';

let farm: FarmState;
let redis: Redis;
let store: PhaseStore;
useFarmState((opened) => {
  farm = opened;
  ({ redis, store } = opened);
});

/** A clone of two machines whose disks are there. */
async function submitClone(ttlMs: number) {
  const sample = sampleModule({ name: 'lab', layerKey: 'k1', layerBuild: newId(), vms: ['a', 'b'], timeoutMs: 60_000 });
  const run = { id: 'r', image: 'lab:3', ttlMs, authorizedKey: null };
  const module = { ...sample, spec: { ...sample.spec, module: { ...sample.spec.module, run } } };
  const buildId = newId();
  const submitted = { idempotencyKey: null, digest: '', retentionMs: 60_000, run: run.image };
  await submitBuild(redis, { ...submitted, buildId, modules: [module] });
  for (const job of await farm.take()) await store.commit(await farm.claim(job), { outcome: 'succeeded' });
  return { buildId, layerBuild: module.layerBuild };
}

test('a clone is left to people when its machines are up, holds its slots, and ends with its time', async () => {
  const { buildId, layerBuild } = await submitClone(300);
  const boots = await farm.take();
  const place = (vm: string) => ({ cluster: 'lab', layerBuild, vm });
  expect(await readHandbuild(redis, place('a'))).toBeNull();
  for (const job of boots) await store.commit(await farm.claim(job), { outcome: 'succeeded' });
  // Nothing of it occupies a worker from now on, nor can anybody take it for a step.
  expect(await farm.take()).toEqual([]);
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
  for (const job of await farm.take()) await store.commit(await farm.claim(job), { outcome: 'succeeded' });
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
