import { systemClock } from '../../common/clock/clock.ts';
import { configSchema } from '../../common/config/schema.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createMetrics } from '../../common/metrics/farm-metrics.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { readUsage, reportCluster } from '../../common/redis/slots.ts';
import { reconcileLayers, reconcileSome } from '../../scheduler/catalog/reconcile-layers.ts';
import { FarmState, newId } from '../harness/farm-state.ts';
import { layerRecord, layerVm } from '../harness/layer-factory.ts';
import { sampleModule } from '../harness/sample-spec.ts';
import type { Measurement } from './measurement.ts';

const LAYERS = 10_000;
const FINISHED = 10;

/** What it costs that one more module has finished where many layers are known: its commit, and its record on its snapshots. */
export async function benchLayers(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const farm = await FarmState.open(resources);
  await farm.advertise();
  const snapshots = new Map<string, VolumeSnapshot>();
  const show = (name: string) => snapshots.set(name, { metadata: { name } });
  for (let index = 0; index < LAYERS; index += 1) {
    const id = newId();
    const vms = [layerVm('vm', `s-${id}`)];
    const { createdAt, ...record } = layerRecord({ layerKey: `k${id}`, layerBuild: id, module: `m${id}`, vms });
    const { layerKey, module, version } = record;
    const stored = { module, version, layerKey, namedAtMs: Date.parse(createdAt), by: '' };
    const written = JSON.stringify({ ...record, createdAtMs: Date.parse(createdAt) });
    // As scripts store them: reading one layer back looks at all others.
    await farm.redis.hset(KEYS.layers, layerKey, written);
    await farm.redis.hset(KEYS.images, `${module}:${version}`, JSON.stringify(stored));
    show(`s-${id}`);
  }
  const options = watchOptions(farm, snapshots);
  const forever = new AbortController().signal;
  await reconcileLayers(options, snapshots, forever);
  const times: number[] = [];
  for (let index = 0; index < FINISHED; index += 1) {
    const [id, vm] = [newId(), `vm${index}`];
    await farm.submit([sampleModule({ name: `n${index}`, layerKey: `k${id}`, layerBuild: id, vms: [vm] })]);
    for (const _phase of PHASES.slice(1)) await farm.runNext();
    show(`s-${vm}`);
    const start = performance.now();
    await farm.runNext();
    // What the notice of the commit makes the scheduler look at.
    await reconcileSome(options, { snapshots, layerKeys: [`k${id}`] }, forever);
    times.push(performance.now() - start);
    await reportCluster(farm.redis, 'lab', { leaving: (await readUsage(farm.redis, 'lab')).slots, observed: [] });
  }
  const value = times.toSorted((a, b) => a - b)[FINISHED / 2] ?? 0;
  return [{ what: `a finished module, ${LAYERS} layers known, median`, value, unit: 'ms', target: '<= 10 ms' }];
}

/** A watch of a cluster that answers at once, and shows `snapshots`. */
function watchOptions({ redis, notices }: FarmState, snapshots: Map<string, VolumeSnapshot>) {
  const [clusterConfig] = configSchema.parse({ clusters: [{ name: 'lab' }] }).clusters;
  if (!clusterConfig) throw new Error('One cluster is configured.');
  const cluster = {
    name: 'lab',
    get: async (_resource: unknown, name: string) => snapshots.get(name),
    mergePatch: async (_resource: unknown, name: string, patch: VolumeSnapshot) =>
      void snapshots.set(name, { metadata: { name, ...patch.metadata } }),
  } as unknown as ClusterClient;
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const metrics = createMetrics();
  return {
    redis,
    notices,
    cluster,
    clusterConfig,
    farm: 'bench',
    failureRetentionMs: 0,
    metrics,
    clock: systemClock,
    logger,
  };
}
