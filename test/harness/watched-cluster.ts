import { afterAll, beforeAll, beforeEach } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { configSchema } from '../../common/config/schema.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { KubernetesObject, ObjectMeta } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { userAgent } from '../../common/kubernetes/user-agent.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createMetrics } from '../../common/metrics/farm-metrics.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { advertise } from '../../common/redis/presence.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import type { ClusterWatchOptions } from '../../scheduler/catalog/sweep-orphans.ts';
import { conformanceCluster } from './embedded-cluster.ts';
import { startRedis } from './redis-server.ts';
import { sampleModule } from './sample-spec.ts';

/** Whose an object is, by its labels. */
interface Labelled {
  readonly name: string;
  readonly vm?: string;
  readonly role?: string;
  readonly farm?: string;
}

let ulids = 0;
/** An id of the length of a ULID. */
export const newId = () => String(++ulids).padStart(26, '0');

/** The metadata of an object of a layer build. */
export function metadata(layerBuild: string, { name, vm = 'vm', role = 'build', farm = 'test' }: Labelled): ObjectMeta {
  const labels = {
    [LABELS.farm]: farm,
    [LABELS.layerBuild]: layerBuild,
    [LABELS.generation]: '1',
    [LABELS.vm]: vm,
    [LABELS.role]: role,
  };
  return { name, labels };
}

/**
 * A farm that watches a cluster, for the tests of a file: the API of a cluster without controllers, and an empty Redis before
 * each test. Filled when the file's own `beforeAll` begins.
 */
export class WatchedCluster {
  readonly resources = new ReleaseStack();
  options!: ClusterWatchOptions;
  /** As a client other than the scheduler. */
  cluster!: ClusterClient;

  /** To be called once, outside of tests. */
  static use(): WatchedCluster {
    const watched = new WatchedCluster();
    beforeAll(() => watched.#open());
    beforeEach(() => watched.#clear());
    afterAll(() => watched.resources.close());
    return watched;
  }

  async #open(): Promise<void> {
    const { resources } = this;
    const logger = createLogger({ name: 'test', level: 'silent' });
    const server = await startRedis();
    resources.defer('redis-server', () => server.stop());
    const embedded = await conformanceCluster({ apiOnly: true, config: { namespaces: ['slipway'] } });
    resources.defer('cluster', () => embedded.stop());
    const redis = await useRedis(resources, { url: server.url, logger }, 'producer');
    const notices = await subscribeNotices(await useRedis(resources, { url: server.url, logger }, 'listener'), logger);
    const [config] = configSchema.parse({ clusters: [{ name: 'lab', kubeconfig: embedded.kubeconfig }] }).clusters;
    if (!config) throw new Error('One cluster was configured.');
    this.cluster = new ClusterClient(config);
    this.options = {
      redis,
      notices,
      cluster: new ClusterClient(config, { userAgent: userAgent('scheduler') }),
      clusterConfig: config,
      farm: 'test',
      failureRetentionMs: 60_000,
      metrics: createMetrics(),
      clock: systemClock,
      logger,
    };
  }

  async #clear(): Promise<void> {
    const { redis } = this.options;
    await redis.flushall();
    for (const phase of PHASES) await advertise(redis, { worker: 'w', phase, cluster: 'lab', capacity: 4 });
  }

  /** A machine that the cluster shows, as KubeVirt would make it of a VirtualMachine. */
  async startMachine(layerBuild: string, name = `vmi-${layerBuild}`): Promise<string> {
    const spec = { domain: { cpu: { cores: 1 }, memory: { guest: '1Gi' }, devices: {} } };
    await this.cluster.create(RESOURCES.instances, { metadata: metadata(layerBuild, { name }), spec });
    return name;
  }

  async makeMachine(layerBuild: string): Promise<string> {
    const name = `vm-${layerBuild}`;
    const domain = { cpu: { cores: 1 }, memory: { guest: '1Gi' }, devices: {} };
    await this.cluster.create(RESOURCES.machines, {
      metadata: metadata(layerBuild, { name }),
      spec: { runStrategy: 'Manual', template: { spec: { domain } } },
    });
    return name;
  }

  /** Submits a build of one module; returns its id. */
  async submit(layerBuild: string, timeoutMs = 60_000): Promise<string> {
    const buildId = newId();
    const modules = [sampleModule({ name: 'base', layerKey: `k${layerBuild}`, layerBuild, timeoutMs })];
    await submitBuild(this.options.redis, { buildId, idempotencyKey: null, digest: '', retentionMs: 60_000, modules });
    return buildId;
  }

  /** The farm's objects of a kind, by name. */
  async names(resource: Resource<KubernetesObject>): Promise<string[]> {
    const { items } = await this.cluster.list(resource, { labels: { [LABELS.farm]: 'test' } });
    return items.map((item) => item.metadata?.name ?? '').sort();
  }
}
