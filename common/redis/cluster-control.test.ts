import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { changeControl, readControl } from './cluster-control.ts';
import { KEYS } from './keys.ts';

const GiB = 1024 ** 3;
const LAB = { name: 'lab', limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 8 * GiB }, labels: { zone: 'eu' } };
let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

const submit = (name: string) => farm.submit([sampleModule({ name, layerKey: name, layerBuild: newId() })]);
const phases = async () => (await farm.take()).map(({ reference }) => reference.phase);
const change = (what: Parameters<typeof changeControl>[2]) => changeControl(farm.redis, 'lab', what, 'ann');

test('a paused cluster gets no jobs, other clusters do, and all of them come when it is resumed', async () => {
  await submit('a');
  await change({ mode: 'paused' });
  expect(await phases()).toEqual([]);
  await farm.submit([sampleModule({ name: 'b', layerKey: 'b', layerBuild: newId(), cluster: 'other' })]);
  expect(await farm.take('other')).toHaveLength(1);
  const woken = new Promise((resolve) => farm.notices.listen(resolve));
  await change({ mode: 'open' });
  expect(await woken).toEqual({ kind: 'wake', cluster: 'lab' });
  expect(await phases()).toEqual(['import']);
});

test('dispatchers are woken once until one of them looks, which finds all that has changed', async () => {
  await phases();
  const heard: string[] = [];
  const stop = farm.notices.listen(({ kind }) => heard.push(kind));
  await submit('a');
  await submit('b');
  expect(await phases()).toEqual(['import', 'import']);
  await submit('c');
  await farm.redis.publish(KEYS.notices, JSON.stringify({ kind: 'tasks' }));
  await expect.poll(() => heard.at(-1)).toBe('tasks');
  expect(heard.filter((kind) => kind === 'wake')).toHaveLength(2);
  stop();
});

test('a cluster that is drained begins nothing, and what has machines continues to its end', async () => {
  await submit('runs');
  await farm.runNext();
  const boot = await farm.claim((await farm.take())[0]);
  await submit('waits');
  await change({ mode: 'draining' });
  expect(await phases()).toEqual([]);
  await farm.succeed(boot);
  await farm.runNext();
  const { job } = await farm.runNext();
  expect(job.phase).toBe('snapshot');
  expect(await phases()).toEqual([]);
  // What was imported before gets no machine either.
  await change({ mode: 'open' });
  await farm.runNext();
  await change({ mode: 'draining' });
  expect(await phases()).toEqual([]);
  await change({ mode: 'cordoned' });
  expect(await phases()).toEqual(['boot-keystrokes']);
});

test('limits and labels change at once, for all readers, and go back to what is configured', async () => {
  for (const name of ['a', 'b', 'c']) await submit(name);
  await change({ limits: { imports: 1, cpu: 1.5 }, labels: { zone: null, disk: 'fast' } });
  expect(await phases()).toEqual(['import']);
  expect(await readControl(farm.redis, LAB)).toMatchObject({
    ...{ mode: 'open', changed: { by: 'ann', at: expect.any(Number) }, labels: { disk: 'fast' } },
    limits: { imports: 1, vms: 4, cpu: 1.5, memoryBytes: 8 * GiB },
  });
  await change({ limits: { imports: 6 } });
  expect(await phases()).toEqual(['import', 'import']);
  await change({ limits: { imports: null, cpu: null }, labels: { zone: 'us' } });
  expect(await readControl(farm.redis, LAB)).toMatchObject({
    limits: LAB.limits,
    labels: { zone: 'us', disk: 'fast' },
  });
});
