import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { configSchema } from '../../common/config/schema.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { SharedWatch } from '../../common/kubernetes/shared-watch.ts';
import { userAgent } from '../../common/kubernetes/user-agent.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createMetrics } from '../../common/metrics/farm-metrics.ts';
import { readSources } from '../../common/redis/sources.ts';
import { cancelBuild } from '../../common/redis/submissions.ts';
import { conformanceCluster } from '../../test/harness/embedded-cluster.ts';
import { FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';
import { sweepSources, sweepSourcesOnce } from './sweep-sources.ts';

const DAY_MS = 86_400_000;
const NAME = 'sw-source-of-test';
const WHAT = 'https://example.org/image.qcow2';
const KINDS: readonly Resource[] = [RESOURCES.snapshots, RESOURCES.dataVolumes, RESOURCES.claims];
const forever = new AbortController().signal;
const resources = new ReleaseStack();
let farm: FarmState;
let cluster: ClusterClient;
let options: ClusterWatchOptions;

beforeAll(async () => {
  farm = await FarmState.open(resources);
  const embedded = await conformanceCluster({ apiOnly: true, config: { namespaces: ['slipway'] } });
  resources.defer('cluster', () => embedded.stop());
  const [config] = configSchema.parse({ clusters: [{ name: 'lab', kubeconfig: embedded.kubeconfig }] }).clusters;
  if (!config) throw new Error('One cluster was configured.');
  cluster = new ClusterClient(config);
  options = {
    redis: farm.redis,
    notices: farm.notices,
    cluster: new ClusterClient(config, { userAgent: userAgent('scheduler') }),
    clusterConfig: config,
    farm: 'test',
    failureRetentionMs: 60_000,
    metrics: createMetrics(),
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
  };
});

beforeEach(async () => {
  await farm.reset();
  for (const kind of KINDS) {
    for (const { metadata } of (await cluster.list(kind)).items) await cluster.delete(kind, metadata?.name ?? '');
  }
});

afterAll(() => resources.close());

/** The volume of a source with its claim and, when it is whole, its snapshot. */
async function makeSource({ name = NAME, isWhole = true } = {}): Promise<void> {
  const labels = { [LABELS.farm]: 'test', [LABELS.role]: 'source' };
  const metadata = { name, labels };
  const storage = { resources: { requests: { storage: '1Gi' } } };
  await cluster.create(RESOURCES.dataVolumes, { metadata, spec: { source: { http: { url: WHAT } }, storage } });
  await cluster.create(RESOURCES.claims, { metadata, spec: { ...storage, accessModes: ['ReadWriteOnce'] } });
  if (!isWhole) return;
  await cluster.create(RESOURCES.snapshots, { metadata, spec: { source: { persistentVolumeClaimName: name } } });
}

/** A volume that is made from the source, and is never filled. */
async function cloneSource(): Promise<void> {
  const source = { snapshot: { namespace: cluster.namespace, name: NAME } };
  await cluster.create(RESOURCES.dataVolumes, { metadata: { name: 'clone' }, spec: { source, storage: {} } });
}

/** A build that has begun to import, with its claim. */
async function beginBuild(): Promise<{ buildId: string; claim: PhaseClaim }> {
  const layerBuild = newId();
  const { buildId } = await farm.submit([sampleModule({ name: 'base', layerKey: `k${layerBuild}`, layerBuild })]);
  const [job] = await farm.take();
  return { buildId, claim: await farm.claim(job) };
}

const use = (claim: PhaseClaim, keepMs: number) => farm.store.useSource(claim, { name: NAME, what: WHAT, keepMs });

async function endBuild({ buildId, claim }: { buildId: string; claim: PhaseClaim }): Promise<void> {
  await cancelBuild(farm.redis, buildId);
  await farm.store.commit(claim, { outcome: 'cancelled' });
}

/** Sweeps as a scheduler does, until the test ends. */
function keepSweeping(): void {
  const sweeping = new AbortController();
  const { signal } = sweeping;
  const snapshots = new SharedWatch<VolumeSnapshot>();
  const loops = [
    sweepSources({ ...options, snapshots }, signal),
    snapshots.run(options.cluster, RESOURCES.snapshots, { labels: { [LABELS.farm]: 'test' }, signal }),
  ];
  onTestFinished(async () => {
    sweeping.abort();
    await Promise.all(loops);
  });
}

const sweep = (isFull = false) => sweepSourcesOnce(options, { isFull }, forever);

async function left(): Promise<string[]> {
  const found = await Promise.all(KINDS.map(async (kind) => ({ kind, object: await cluster.get(kind, NAME) })));
  return found.flatMap(({ kind, object }) => (object ? [kind.plural] : []));
}

const known = () => farm.redis.keys('{farm}:source*');

test('removes a source some time after the last build that used it has ended, and all that is known of it', async () => {
  await makeSource();
  const [first, second] = [await beginBuild(), await beginBuild()];
  for (const { claim } of [first, second]) {
    await use(claim, 0);
    await use(claim, 60_000);
  }
  await farm.time.pass(DAY_MS);
  expect(await sweep(true)).toBe(Number.POSITIVE_INFINITY);
  await endBuild(first);
  await farm.time.pass(DAY_MS);
  expect(await sweep(true)).toBe(Number.POSITIVE_INFINITY);
  await endBuild(second);
  await farm.time.pass(50_000);
  const dueMs = await sweep();
  expect(dueMs).toBeGreaterThan(0);
  expect(dueMs).toBeLessThanOrEqual(10_000);
  expect(await left()).toHaveLength(3);
  await farm.time.pass(10_000);
  await sweep();
  expect(await left()).toEqual([]);
  expect(await sweep()).toBe(Number.POSITIVE_INFINITY);
  expect(await known()).toEqual([]);
});

test('ends an import with the last build that wants it', async () => {
  await makeSource({ isWhole: false });
  const [first, second] = [await beginBuild(), await beginBuild()];
  await use(first.claim, 0);
  await use(second.claim, 0);
  keepSweeping();
  await endBuild(first);
  await sweep(true);
  expect(await left()).toHaveLength(2);
  await endBuild(second);
  await expect.poll(left, { timeout: 5_000 }).toEqual([]);
});

test('leaves a source alone while a volume is cloned from it', async () => {
  await makeSource();
  const build = await beginBuild();
  await use(build.claim, 1_000);
  await endBuild(build);
  await cloneSource();
  await farm.time.pass(DAY_MS);
  await sweep();
  expect(await left()).toHaveLength(3);
  await cluster.delete(RESOURCES.dataVolumes, 'clone');
  await sweep();
  expect(await left()).toEqual([]);
});

test('continues as soon as a clone ends, and as soon as what it removes has gone', async () => {
  await makeSource();
  await makeSource({ name: 'sw-source-not-cloned' });
  const build = await beginBuild();
  await use(build.claim, 1);
  await farm.store.useSource(build.claim, { name: 'sw-source-not-cloned', what: WHAT, keepMs: 1 });
  await cloneSource();
  await cluster.mergePatch(RESOURCES.claims, NAME, { metadata: { finalizers: ['test/held'] } });
  await endBuild(build);
  await farm.time.pass(1_000);
  keepSweeping();
  const soon = { timeout: 5_000 };
  const names = async () => [...(await readSources(farm.redis, cluster.name, [NAME, 'sw-source-not-cloned'])).keys()];
  await expect.poll(names, soon).toEqual([NAME]);
  expect(await left()).toHaveLength(3);
  await cluster.delete(RESOURCES.dataVolumes, 'clone');
  await expect.poll(left, soon).toEqual(['persistentvolumeclaims']);
  await cluster.mergePatch(RESOURCES.claims, NAME, { metadata: { finalizers: null } });
  await expect.poll(known, soon).toEqual([]);
});

test('keeps a source that it does not know for the time that is usual, from when it first sees it', async () => {
  await makeSource();
  await sweep(true);
  await farm.time.pass(DAY_MS - 60_000);
  await sweep(true);
  expect(await left()).toHaveLength(3);
  await farm.time.pass(60_000);
  await sweep();
  expect(await left()).toEqual([]);
});

test('continues with a removal that another process has begun, and never removes what was made since', async () => {
  await makeSource();
  const build = await beginBuild();
  await use(build.claim, 1_000);
  await endBuild(build);
  await farm.time.pass(1_000);
  const held = { metadata: { finalizers: ['test/held'] } };
  await cluster.mergePatch(RESOURCES.dataVolumes, NAME, held);
  await sweep();
  expect(await left()).toEqual(['datavolumes']);

  // A build that wants it now has to wait, also with a claim that is taken over.
  const next = await beginBuild();
  const removal = await use(next.claim, 0);
  expect(removal).toMatch(/./);
  expect(await use(next.claim, 0)).toBe(removal);
  await cluster.mergePatch(RESOURCES.dataVolumes, NAME, { metadata: { finalizers: null } });
  expect(await left()).toEqual([]);
  expect(await farm.store.useSource(next.claim, { name: NAME, what: WHAT, keepMs: 0 }, removal ?? '')).toBeNull();
  await makeSource();
  await sweep(true);
  expect(await left()).toHaveLength(3);
});
