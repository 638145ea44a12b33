import { beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { END_FINALIZER, LABELS } from '../../common/contracts/object-keys.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { readFindings } from '../../common/redis/findings.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { readTrouble } from '../../common/redis/slots.ts';
import { cancelBuild } from '../../common/redis/submissions.ts';
import { startEmbeddedCluster } from '../../test/harness/embedded-cluster.ts';
import { metadata, newId, WatchedCluster } from '../../test/harness/watched-cluster.ts';
import { type ClusterWatchOptions, sweepOnce, sweepOrphans } from './sweep-orphans.ts';
import { sweepVerdict } from './sweep-verdict.ts';
import { watchCluster } from './watch-cluster.ts';

const watched = WatchedCluster.use();

const forever = new AbortController().signal;

let cluster: ClusterClient;

let options: ClusterWatchOptions;

beforeAll(() => {
  ({ cluster, options } = watched);
});

test.each([
  ['an unknown layer build', null, { action: 'remove', why: 'orphan' }],
  ['a running layer build', { state: 'running', generation: 2, finishedAt: null }, { action: 'keep' }],
  [
    'a former generation',
    { state: 'running', generation: 3, finishedAt: null },
    { action: 'remove', why: 'former-generation' },
  ],
  [
    'a layer build that failed lately',
    { state: 'failed', generation: 2, finishedAt: 900 },
    { action: 'halt', removeAt: 1400 },
  ],
  [
    'a layer build that failed long ago',
    { state: 'failed', generation: 2, finishedAt: 400 },
    { action: 'remove', why: 'failed' },
  ],
  [
    'a cancelled layer build',
    { state: 'cancelled', generation: 2, finishedAt: 900 },
    { action: 'remove', why: 'cancelled' },
  ],
] as const)('decides about the objects of %s', (_what, layerBuild, verdict) => {
  const moment = { now: 1000, failureRetentionMs: 500 };
  expect(sweepVerdict({ layerBuild: 'x', generation: 2 }, layerBuild, moment)).toEqual(verdict);
});

test('removes what belongs to no living work, and nothing else', async () => {
  const [living, orphan] = [newId(), newId()];
  await watched.submit(living);
  const secret = (name: string, layerBuild: string, more = {}) =>
    cluster.create(RESOURCES.secrets, { metadata: metadata(layerBuild, { name, ...more }) });
  await secret('living', living);
  await secret('orphan', orphan);
  await secret('layer', orphan, { role: 'layer' });
  await secret('foreign', orphan, { farm: 'other' });
  await cluster.create(RESOURCES.vpcs, { metadata: metadata(orphan, { name: 'orphan-vpc' }), spec: {} });
  // CDI's own, while it fills a volume: without the farm's labels.
  const cdi = (name: string) => ({ name, labels: { app: 'containerized-data-importer' } });
  const resources = { requests: { storage: '1Gi' } };
  const helper = { metadata: cdi('prime-1'), spec: { accessModes: ['ReadWriteOnce'], resources } };
  await cluster.create(RESOURCES.claims, helper);
  const source = { persistentVolumeClaimName: 'prime-1' };
  await cluster.create(RESOURCES.snapshots, { metadata: cdi('tmp-snapshot-1'), spec: { source } });
  expect(await sweepOnce(options, forever)).toBe(Number.POSITIVE_INFINITY);
  expect(await watched.names(RESOURCES.secrets)).toEqual(['layer', 'living']);
  expect(await watched.names(RESOURCES.vpcs)).toEqual([]);
  const others = await cluster.list(RESOURCES.secrets, { labels: { [LABELS.farm]: 'other' } });
  expect(others.items).toHaveLength(1);
  expect(await cluster.get(RESOURCES.claims, 'prime-1')).toBeDefined();
  expect(await cluster.get(RESOURCES.snapshots, 'tmp-snapshot-1')).toBeDefined();
});

/** Kinds whose removal is waited for. */
const AWAITED: readonly Resource<KubernetesObject>[] = [
  RESOURCES.machines,
  RESOURCES.pods,
  RESOURCES.egressGateways,
  RESOURCES.subnets,
  RESOURCES.vpcs,
];

const HELD = { finalizers: ['test/held'] };

/** Lets go of what is held as soon as the farm watches its kind. */
async function releaseWhenWatched(path: string): Promise<void> {
  for (const resource of AWAITED.filter(({ plural }) => path.endsWith(`/${plural}`))) {
    const { items } = await cluster.list(resource, { labels: { [LABELS.farm]: 'test' } });
    for (const { metadata } of items) {
      await cluster.mergePatch(resource, metadata?.name ?? '', { metadata: { finalizers: null } });
    }
  }
}

test('takes an orphaned generation apart in order, and waits for what the cluster still holds', async () => {
  const orphan = newId();
  const called = (name: string) => metadata(orphan, { name });
  const held = (name: string) => ({ metadata: { ...called(name), ...HELD } });
  const create = <T extends KubernetesObject>(resource: Resource<T>, object: T) => cluster.create(resource, object);
  const domain = { memory: { guest: '64Mi' }, devices: {} };
  const template = { spec: { domain } };
  const machine = await create(RESOURCES.machines, { ...held('machine'), spec: { runStrategy: 'Halted', template } });
  const owner = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    name: 'machine',
    uid: machine.metadata?.uid ?? '',
  };
  // Its end was never read: the worker that held it died.
  const kept = { finalizers: [END_FINALIZER], ownerReferences: [owner] };
  await create(RESOURCES.instances, { metadata: { ...called('instance'), ...kept }, spec: { domain } });
  await create(RESOURCES.pods, { ...held('pod'), spec: { containers: [{ name: 'c', image: 'i' }] } });
  await create(RESOURCES.egressGateways, { ...held('way-out'), spec: { vpc: 'v', externalSubnet: 'e' } });
  await create(RESOURCES.vpcs, { ...held('swept-vpc'), spec: {} });
  await create(RESOURCES.subnets, { ...held('swept-subnet'), spec: { vpc: 'swept-vpc', cidrBlock: '10.9.0.0/24' } });
  await create(RESOURCES.networkAttachments, {
    metadata: called('attachment'),
    spec: { config: '{"type":"kube-ovn"}' },
  });
  const storage = { resources: { requests: { storage: '1Gi' } } };
  await create(RESOURCES.dataVolumes, { metadata: called('disk'), spec: { source: { blank: {} }, storage } });
  await create(RESOURCES.claims, { metadata: called('claim'), spec: { ...storage, accessModes: ['ReadWriteOnce'] } });
  // KubeOVN kept the addresses of a machine and of a pod that are gone.
  for (const podType of ['VirtualMachine', '']) {
    const spec = { podName: 'gone', podType, namespace: 'slipway', subnet: 'swept-subnet' };
    const labels = { 'ovn.kubernetes.io/subnet': 'swept-subnet' };
    await create(RESOURCES.ips, { metadata: { name: `leaked-${podType.toLowerCase()}0`, labels }, spec });
  }
  const stream = options.cluster.stream.bind(options.cluster);
  const watching = vi.spyOn(options.cluster, 'stream').mockImplementation(async (request) => {
    const response = await stream(request);
    await releaseWhenWatched(request.path);
    return response;
  });
  await sweepOnce(options, forever);
  watching.mockRestore();
  for (const resource of [...AWAITED, RESOURCES.instances, RESOURCES.dataVolumes, RESOURCES.claims]) {
    expect(await watched.names(resource), resource.plural).toEqual([]);
  }
  expect((await cluster.list(RESOURCES.ips)).items).toEqual([]);
});

test('clears up behind a layer build as soon as it ends, though the cluster does not let go of another one', async () => {
  const [stuck, ended] = [newId(), newId()];
  const buildId = await watched.submit(ended);
  await cluster.create(RESOURCES.vpcs, { metadata: { ...metadata(stuck, { name: 'stuck-vpc' }), ...HELD }, spec: {} });
  const deleted = async () => (await cluster.get(RESOURCES.vpcs, 'stuck-vpc'))?.metadata?.deletionTimestamp;
  const sweeping = new AbortController();
  const sweep = sweepOrphans(options, sweeping.signal);
  onTestFinished(() => {
    sweeping.abort();
    return sweep;
  });
  await expect.poll(deleted, { timeout: 10_000 }).toBeDefined();
  await cluster.create(RESOURCES.secrets, { metadata: metadata(ended, { name: 'ended' }) });
  await cancelBuild(options.redis, buildId);
  await expect.poll(() => watched.names(RESOURCES.secrets), { timeout: 10_000 }).not.toContain('ended');
  await cluster.mergePatch(RESOURCES.vpcs, 'stuck-vpc', { metadata: { finalizers: null } });
  await expect.poll(() => watched.names(RESOURCES.vpcs), { timeout: 10_000 }).toEqual([]);
});

test('removes what a cancelled module had captured, and keeps layers that it does not know', async () => {
  const [cancelled, old] = [newId(), newId()];
  await cancelBuild(options.redis, await watched.submit(cancelled));
  const spec = { source: { persistentVolumeClaimName: 'root' } };
  for (const [layerBuild, name] of [
    [cancelled, 'half-a-layer'],
    [old, 'a-layer-of-last-year'],
  ] as const) {
    await cluster.create(RESOURCES.snapshots, { metadata: metadata(layerBuild, { name, role: 'layer' }), spec });
  }
  await sweepOnce(options, forever);
  expect(await watched.names(RESOURCES.snapshots)).toEqual(['a-layer-of-last-year']);
});

test('keeps what the cluster lacks beside its trouble, and looks again when it was out of reach', async () => {
  const { redis } = options;
  // Of its own: it is killed.
  const killed = await startEmbeddedCluster({ apiOnly: true, config: { namespaces: ['slipway'] } });
  onTestFinished(() => killed.stop());
  const clusterConfig = { ...options.clusterConfig, kubeconfig: killed.kubeconfig };
  const watching = new AbortController();
  const watched = { ...options, clusterConfig, cluster: new ClusterClient(clusterConfig) };
  const watch = watchCluster(watched, 'this process', watching.signal);
  const found = async () => (await readFindings(redis, 'lab')).map(({ what }) => what);
  await expect
    .poll(found, { timeout: 20_000 })
    .toEqual([
      'No external subnet is configured: modules with internet are refused.',
      'The relay image is the default "slipway:latest", which no registry serves.',
    ]);
  await killed.kill('SIGKILL');
  await expect.poll(() => readTrouble(redis, 'lab'), { timeout: 20_000 }).not.toBeNull();
  await redis.del(KEYS.findings);
  await killed.restart();
  await expect.poll(found, { timeout: 30_000 }).toHaveLength(2);
  watching.abort();
  await watch;
}, 60_000);
