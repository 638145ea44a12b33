import { beforeAll, expect, onTestFinished, test } from 'vitest';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { startMachine as requestStart } from '../../common/kubernetes/machine-actions.ts';
import type { ObjectMeta } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { takeReady } from '../../common/redis/dispatches.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { readTrouble, readUsage } from '../../common/redis/slots.ts';
import { cancelBuild } from '../../common/redis/submissions.ts';
import { metadata, newId, WatchedCluster } from '../../test/harness/watched-cluster.ts';
import { type ClusterWatchOptions, sweepOrphans } from './sweep-orphans.ts';
import { watchCluster } from './watch-cluster.ts';
import { reportOnce } from './watch-machines.ts';

// Machines are started and stopped by KubeVirt's own API, which an API server alone does not have.
const LAB = { cluster: 'lab', limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 8 * 1024 ** 3 } };
const HELD = { finalizers: ['test/held'] };
const watched = WatchedCluster.use();
const forever = new AbortController().signal;
let cluster: ClusterClient;
let options: ClusterWatchOptions;

beforeAll(() => {
  ({ cluster, options } = watched);
});

function launcherMetadata(layerBuild: string): ObjectMeta {
  const { labels, ...named } = metadata(layerBuild, { name: `virt-launcher-${layerBuild}` });
  return { ...named, labels: { ...labels, 'kubevirt.io': 'virt-launcher' } };
}

test('switches the machine of a cancelled layer build off at once, though many others cannot be removed', async () => {
  const stuck = Array.from({ length: 24 }, newId);
  for (const id of stuck) {
    await cluster.create(RESOURCES.vpcs, { metadata: { ...metadata(id, { name: `stuck-${id}` }), ...HELD }, spec: {} });
  }
  const cancelled = newId();
  const buildId = await watched.submit(cancelled);
  const vm = await watched.makeMachine(cancelled);
  await watched.startMachine(cancelled, vm);
  const sweeping = new AbortController();
  const sweep = sweepOrphans(options, sweeping.signal);
  onTestFinished(() => {
    sweeping.abort();
    return sweep;
  });
  const isGoing = async (name: string) => (await cluster.get(RESOURCES.vpcs, name))?.metadata?.deletionTimestamp;
  await expect.poll(() => isGoing(`stuck-${stuck[0]}`), { timeout: 20_000 }).toBeDefined();
  await cancelBuild(options.redis, buildId);
  const asked = async () => (await cluster.get(RESOURCES.machines, vm))?.status?.stateChangeRequests ?? [];
  await expect.poll(asked, { timeout: 20_000 }).toContainEqual(expect.objectContaining({ action: 'Stop' }));
  await cluster.delete(RESOURCES.instances, vm);
  for (const id of stuck) await cluster.mergePatch(RESOURCES.vpcs, `stuck-${id}`, { metadata: { finalizers: null } });
  await expect.poll(() => watched.names(RESOURCES.vpcs), { timeout: 20_000 }).toEqual([]);
});

test('frees a slot when no start is pending and VMI and pod are gone, as a watch reports', async () => {
  const { redis, notices } = options;
  const layerBuild = newId();
  const buildId = await watched.submit(layerBuild);
  const store = createPhaseStore({ redis, notices });
  const next = async () => {
    const [job] = (await takeReady(redis, LAB)).jobs;
    const claim = job && (await store.claim(job.reference, 'w'));
    if (!claim) throw new Error('There was nothing to claim.');
    return claim;
  };
  await store.commit(await next(), { outcome: 'succeeded' });
  const boot = await next();
  const vm = await watched.makeMachine(layerBuild);
  // KubeVirt takes note of it, and carries it out when it comes to it: VMI and pod may come after the cancellation.
  await requestStart(cluster, vm);
  const watching = new AbortController();
  const watch = watchCluster({ ...options, farm: 'test' }, 'this process', watching.signal);
  await expect.poll(() => readTrouble(redis, 'lab')).toBeNull();
  await cancelBuild(redis, buildId);
  await store.commit(boot, { outcome: 'cancelled' });
  const isHeld = async () => {
    await reportOnce(options, forever);
    expect((await readUsage(redis, 'lab')).slots).toMatchObject([{ stage: 'leaving' }]);
  };
  await isHeld();
  const machine = await watched.startMachine(layerBuild);
  const pod = await cluster.create(RESOURCES.pods, {
    metadata: launcherMetadata(layerBuild),
    spec: { containers: [{ name: 'compute', image: 'virt-launcher' }] },
  });
  await cluster.delete(RESOURCES.machines, vm);
  await isHeld();
  await cluster.delete(RESOURCES.instances, machine);
  await isHeld();
  await cluster.delete(RESOURCES.pods, pod.metadata?.name ?? '', { gracePeriodSeconds: 0 });
  await expect.poll(async () => (await readUsage(redis, 'lab')).slots).toEqual([]);
  watching.abort();
  await watch;
  expect(await redis.exists('{farm}:lease:cluster-lab')).toBe(0);
});
