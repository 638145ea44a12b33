import { afterAll, beforeAll, expect, test } from 'vitest';
import { EVERYBODY } from '../../common/contracts/owners.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { reportCluster, reportTrouble } from '../../common/redis/slots.ts';
import { BY_HAND, LAB, type LiveApi, MODULES, startApi } from './live-api.ts';

const GiB = 1024 ** 3;
let api: LiveApi;

beforeAll(async () => {
  api = await startApi({}, undefined, { owners: new Map([[EVERYBODY, { weight: 1, vms: 1 }]]) });
  await api.reset();
  await reportTrouble(api.redis, LAB.name, null);
});

afterAll(() => api.close());

const submit = (text: string) => api.client.submit({ files: [{ path: 'lab.yaml', text }], variables: {} });

/** So many machines that hold no slot. */
async function occupy(machines: number): Promise<void> {
  const observed = Array.from({ length: machines }, (_, index) => {
    return { layerBuild: 'orphan', generation: 1, vm: `vm${index}`, cpu: 1, memoryBytes: GiB };
  });
  await reportCluster(api.redis, LAB.name, { leaving: [], observed });
}

test('shows for every module its wait, its place and the expected time', async () => {
  await occupy(4);
  const { buildId } = await submit(MODULES);
  const waits = () => api.client.waiting(buildId);
  const child = { module: 'child', vm: null, kind: 'parents', why: 'the images of base' };
  expect(await waits()).toMatchObject([
    { module: 'base', vm: 'vm', kind: 'import', position: 1, of: 1, expectedAt: null, since: expect.any(Number) },
    child,
  ]);

  const [imported] = await api.startReady();
  if (!imported) throw new Error('There is an import.');
  expect(await waits()).toMatchObject([child]);
  await api.finish(imported);
  await api.redis.hset(KEYS.durations, 'machines/base', 60_000);
  const machines = {
    ...{ module: 'base', vm: null, kind: 'machines', position: 1, of: 1 },
    why: 'room for 1 machine: 4 machines of 4 machines are in use',
  };
  expect(await waits()).toMatchObject([machines, child]);

  await reportTrouble(api.redis, LAB.name, 'connection refused');
  expect(await waits()).toMatchObject([{ kind: 'cluster', why: 'the cluster "lab": connection refused' }, child]);
  await reportTrouble(api.redis, LAB.name, null);

  await occupy(0);
  const [boot] = await api.startReady();
  expect(boot?.job.phase).toBe('boot-keystrokes');
  expect(await waits()).toMatchObject([child]);

  const desk = await submit(BY_HAND);
  const [other] = await api.startReady();
  if (!other) throw new Error('There is an import.');
  await api.finish(other);
  const [quota] = await api.client.waiting(desk.buildId);
  expect(quota).toMatchObject({
    kind: 'quota',
    why: 'the quota of "bootstrap": it holds 1 machine of at most 1 machine',
    position: 1,
  });
  // It follows the machine of `base`, which lasts a minute as before.
  const admittedAt = Number(await api.redis.hget(KEYS.layerBuild(boot?.job.layerBuild ?? ''), 'admittedAt'));
  expect(quota?.expectedAt).toBe(admittedAt + 60_000);
});
