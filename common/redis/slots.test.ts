import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import type { PhaseStore } from '../contracts/phase-store.ts';
import { advertise } from './presence.ts';
import { readUsage, reportCluster } from './slots.ts';

let farm: FarmState;
let redis: Redis;
let store: PhaseStore;
useFarmState((opened) => {
  farm = opened;
  ({ redis, store } = opened);
});

test('admits the machines of a module all or nothing, and frees them by what the cluster shows', async () => {
  const big = sampleModule({ name: 'big', layerKey: 'k1', layerBuild: newId(), vms: ['a', 'b', 'c'] });
  const other = sampleModule({ name: 'other', layerKey: 'k2', layerBuild: newId(), vms: ['d', 'e'] });
  await farm.submit([big]);
  const imports = await farm.take();
  expect(imports).toHaveLength(3);
  for (const job of imports) await store.commit(await farm.claim(job), { outcome: 'succeeded' });
  await farm.submit([other]);
  const boots = await farm.take();
  expect(boots.map((job) => job.reference.phase).sort()).toEqual([
    'boot-keystrokes',
    'boot-keystrokes',
    'boot-keystrokes',
    'import',
    'import',
  ]);
  for (const job of boots) await store.commit(await farm.claim(job), { outcome: 'succeeded' });
  expect((await farm.take()).map((job) => job.reference.phase)).toEqual(['provision', 'provision', 'provision']);
  expect(await readUsage(redis, 'lab')).toMatchObject({ imports: 0, vms: 3, cpu: 3 });

  const first = { layerBuild: big.layerBuild, generation: 1, vm: 'a', cpu: 1, memoryBytes: 1024 ** 3 };
  const slots = (await readUsage(redis, 'lab')).slots;
  expect(await reportCluster(redis, 'lab', { leaving: slots, observed: [first] })).toBe(0);
});

test('counts machines that hold no slot against the limits', async () => {
  const orphan = { layerBuild: newId(), generation: 1, vm: 'x', cpu: 6, memoryBytes: 1024 ** 3 };
  await reportCluster(redis, 'lab', { leaving: [], observed: [orphan, { ...orphan, vm: 'y', cpu: 2 }] });
  await farm.submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  await farm.runNext();
  expect(await farm.take()).toEqual([]);
  await reportCluster(redis, 'lab', { leaving: [], observed: [orphan] });
  expect(await farm.take()).toHaveLength(1);
});

test('waits for workers before it starts machines', async () => {
  await advertise(redis, { worker: 'w', phase: 'provision', cluster: 'lab', capacity: 0 });
  await farm.submit([sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() })]);
  await farm.runNext();
  expect(await farm.take()).toEqual([]);
  await advertise(redis, { worker: 'w', phase: 'provision', cluster: 'lab', capacity: 1 });
  expect(await farm.take()).toHaveLength(1);
});
