import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { FarmClient } from '../../cli/client/farm-client.ts';
import { takeReady } from '../../common/redis/dispatches.ts';
import { reportFindings } from '../../common/redis/findings.ts';
import { reportTrouble } from '../../common/redis/slots.ts';
import { reportRoom } from '../../common/redis/storage-rooms.ts';
import { LAB, type LiveApi, MODULES, SECRET, startApi } from './live-api.ts';

let api: LiveApi;

let client: FarmClient;

beforeAll(async () => {
  api = await startApi();
  client = api.client;
});

beforeEach(() => api.reset());

afterAll(() => api.close());

test('shows clusters with their usage and workers', async () => {
  await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  await takeReady(api.redis, { cluster: LAB.name, limits: LAB.limits });
  await reportTrouble(api.redis, LAB.name, null);
  const lack = { what: 'No storage class.', severity: 'error', howToFix: 'Make one.' } as const;
  await reportFindings(api.redis, LAB.name, [lack]);
  expect(await client.clusters()).toMatchObject([
    {
      name: 'lab',
      healthy: true,
      message: null,
      findings: [lack],
      inUse: { imports: 1, vms: 0 },
      workers: { length: 4 },
      queues: { length: 4 },
    },
  ]);
  const text = await (await api.call('/metrics')).text();
  expect(text).toContain('slipway_cluster_used{cluster="lab",resource="imports"} 1');
  expect(text).toContain('slipway_layers_total{action="build"}');
});

test('closes and opens a cluster, and changes its limits and labels, while the farm runs', async () => {
  const submit = (more = '') =>
    client.submit({
      files: [{ path: 'a.yaml', text: `name: a\n${more}vms: [{ name: vm, source: { blank: true } }]` }],
      variables: {},
    });
  const placement = (zone: string) => `placement: { clusterLabels: { zone: ${zone} } }\n`;
  await expect(submit(placement('us'))).rejects.toMatchObject({
    code: 'NoSuchLabels',
    message: 'Module "a": no cluster has its labels: "a" asks for zone=us; "lab" has zone=eu',
  });
  const first = await submit(placement('eu'));
  // Where it is built changes nothing about what it is.
  expect((await submit()).plan.modules[0]?.action).toBe('join');
  const view = await client.changeCluster('lab', { mode: 'cordoned', limits: { vms: 2 }, labels: { zone: 'us' } });
  expect(view).toMatchObject({
    ...{ mode: 'cordoned', changed: { by: 'bootstrap' }, labels: { zone: 'us' } },
    ...{ limits: { ...LAB.limits, vms: 2 }, configured: LAB.limits },
  });
  // What is begun already needs no place.
  expect((await submit()).plan.modules[0]?.action).toBe('join');
  await expect(client.submit({ files: [{ path: 'b.yaml', text: MODULES }], variables: {} })).rejects.toMatchObject({
    code: 'ClusterClosed',
    message: expect.stringContaining('it is cordoned, by bootstrap'),
  });
  expect(await (await api.call('/metrics')).text()).toContain('slipway_cluster_limit{cluster="lab",resource="vms"} 2');
  await reportTrouble(api.redis, LAB.name, null);
  await client.changeCluster('lab', { mode: 'paused' });
  const waits = () => client.waiting(first.buildId);
  expect(await waits()).toMatchObject([{ kind: 'cluster', why: 'the cluster "lab", which bootstrap has paused' }]);
  await client.changeCluster('lab', { mode: 'draining' });
  const drained = 'the cluster "lab", which is being drained by bootstrap';
  expect(await waits()).toMatchObject([{ module: 'a', vm: 'vm', kind: 'cluster', why: drained }]);
  await client.changeCluster('lab', { mode: 'open', limits: { vms: null } });
  expect((await client.clusters())[0]).toMatchObject({ mode: 'open', limits: LAB.limits });
  await submit(placement('us'));
  await expect(client.changeCluster('moon', {})).rejects.toMatchObject({ code: 'NotFound' });
  // Fewer than a thousandth of a core would be counted as none.
  for (const limits of [{ vms: 0 }, { cpu: 0.0009 }]) {
    await expect(client.changeCluster('lab', { limits })).rejects.toMatchObject({ code: 'InvalidRequest' });
  }
  const builder = api.as(await api.tokenOf('builder'));
  await expect(builder.changeCluster('lab', { mode: 'open' })).rejects.toMatchObject({ code: 'Forbidden' });
});

test('refuses builds with numbers before the storage of a cluster is full, and reports it everywhere', async () => {
  const submit = (password: string) =>
    client.submit({ files: [{ path: 'a.yaml', text: MODULES.replace(SECRET, password) }], variables: {} });
  await submit('there');
  await api.work();
  await reportRoom(api.redis, LAB.name, { freeBytes: 2 ** 30, leastBytes: 2 ** 31 });
  await expect(submit('new')).rejects.toMatchObject({
    code: 'StorageFull',
    message: expect.stringContaining('"lab": its storage is full: 1 GiB free, a build needs 2 GiB (1 GiB more)'),
  });
  // What is there already needs no room.
  expect((await submit('there')).plan.modules.map(({ action }) => action)).toEqual(['reuse', 'reuse']);
  const [cluster] = await client.clusters();
  expect(cluster?.storage).toEqual({ freeBytes: 2 ** 30, leastBytes: 2 ** 31 });
  const metrics = async () => (await api.call('/metrics')).text();
  expect(await metrics()).toContain('slipway_storage_free_bytes{cluster="lab"} 1073741824');
  await reportRoom(api.redis, LAB.name, null);
  await submit('new');
  expect(await metrics()).not.toContain('slipway_storage_free_bytes{');
});
