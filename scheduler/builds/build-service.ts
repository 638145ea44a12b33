import type { Redis } from 'ioredis';
import type { Agent } from 'undici';
import type { Clock } from '../../common/clock/clock.ts';
import type { FarmKey } from '../../common/config/sealing.ts';
import type { Limits } from '../../common/contracts/builds.ts';
import type { ImageView } from '../../common/contracts/images.ts';
import type { RunTerms } from '../../common/contracts/module/compiled.ts';
import { type Owners, type OwnerTerms, type Priority, termsOf } from '../../common/contracts/owners.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { requireCluster } from '../../common/errors/require-cluster.ts';
import type { StoredBuild } from '../../common/redis/builds.ts';
import { type ClusterControl, type ConfiguredCluster, readControl } from '../../common/redis/cluster-control.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { readCatalog } from '../../common/redis/layers.ts';
import { readTrouble, readUsage } from '../../common/redis/slots.ts';
import { readRoom } from '../../common/redis/storage-rooms.ts';
import { findSubmission, sendSubmission } from '../../common/redis/submissions.ts';
import type { BuildSubmission } from '../../common/redis/write-submission.ts';
import type { BlobStore } from '../blobs/blob-store.ts';
import type { Facts } from '../graph/facts.ts';
import type { NetworkOffer } from '../graph/network-offers.ts';
import type { AcceptedBuild, JsonBytes, NeededFile, PlanCluster } from '../planning/plan-task.ts';
import type { Planner } from '../planning/planner.ts';
import { packModules, type ReadModules, type SentModules } from '../planning/read-modules.ts';
import { newUlid } from '../planning/ulid.ts';
import { cloneModule, readRunnable } from '../runs/clone-module.ts';
import { eachOf } from './each-of.ts';
import { pinSecrets } from './pin-secrets.ts';
import { resolveFacts } from './resolve-facts.ts';
import type { ObjectCluster } from './resolve-objects.ts';
import { findResumptions, type Resumption } from './resume-modules.ts';
import { modulesToRetry } from './retry-modules.ts';

/** The catalog may change between a plan and its acceptance; this often it is planned again. */
const MAX_PLANS = 4;
/** Files that a message names; more are counted. */
const NAMED = 5;

/** A cluster that the farm may build on. */
export interface BuildCluster extends ConfiguredCluster {
  readonly namespace: string;
  readonly client: ObjectCluster;
  /** Features of its network; null while unknown. */
  network(): Promise<NetworkOffer | null>;
}

/** Dependencies of the service. */
export interface BuildServiceOptions {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly planner: Pick<Planner, 'run'>;
  readonly farmKey: FarmKey;
  /** For the farm's own requests to URLs. */
  readonly agent: Agent;
  readonly clusters: readonly BuildCluster[];
  readonly owners: Owners;
  readonly retentionMs: number;
  /** How long disks of failed modules are kept. */
  readonly failureRetentionMs: number;
  /** Null: modules cannot name local files. */
  readonly blobs: Pick<BlobStore, 'use'> | null;
  /** Where a cluster and its workers read local files; null: nowhere. */
  blobsUrlOf(cluster: string): string | null;
}

/** Caller of a submission, and its idempotency key. */
export interface Submitter {
  readonly idempotencyKey: string | null;
  /** Name of the token, or of whom it asks for. */
  readonly name: string;
  readonly priority?: Priority;
  /** How long the machine of a failed step is kept (ms); null: not at all. */
  readonly keepMs?: number | null;
  /** Steps before which a person is asked for, as `isMeantStep` reads them. */
  readonly pauseBefore?: readonly string[];
}

/** TTL of a clone, its SSH keys, and the name of the calling token. */
export interface RunOrder extends Pick<RunTerms, 'ttlMs' | 'authorizedKey'> {
  readonly by: string;
}

/** Turns modules into plans, and plans into builds: asks whom it has to ask, and leaves the rest to planning threads. */
export class BuildService {
  readonly #options: BuildServiceOptions;

  constructor(options: BuildServiceOptions) {
    this.#options = options;
  }

  /** The plan of a request at this moment, as JSON; read-only. @throws as `submit` */
  async plan(request: SentModules, name: string): Promise<JsonBytes> {
    const { redis, planner, clock } = this.#options;
    const { modules, ...read } = await planner.run('read', request);
    const { facts } = await this.#resolve(read);
    const catalog = await readCatalog(redis, read.parents);
    const now = clock.now();
    const clusters = await this.#lookAtClusters(name);
    const hasBlobs = this.#options.blobs !== null;
    return planner.run('plan', { modules, facts, catalog, now, nonce: newUlid(now), clusters, hasBlobs });
  }

  /**
   * Accepts a build. The same request under the same key of a token gives the same build again.
   * @throws InvalidModule, NotYetSupported, GraphCycle, UnknownModule, UnknownSecret, ExceedsLimits, NetworkNotOffered, StorageFull (with
   * `details.problems`), SourceUnreachable, ClustersDiffer, ClusterUnavailable, ClusterUnfit, IdempotencyConflict,
   * LocalFilesOff, BlobMissing (with `details.missing`), RequestTooLarge, PlanningTimeout, RedisUnavailable
   */
  async submit(
    request: SentModules,
    { idempotencyKey, name, keepMs = null, ...how }: Submitter,
  ): Promise<AcceptedBuild> {
    const { redis, planner } = this.#options;
    const read = await planner.run('read', request);
    const sender = { idempotencyKey, submittedBy: name, digest: read.digest };
    const former = await findSubmission(redis, sender);
    if (former) return planner.run('describeAccepted', { ...former, plan: null });
    return this.#accept(read, { ...sender, ...(keepMs === null ? {} : { keepMs }), ...how });
  }

  /**
   * Starts a clone of an image: a build of its machines that makes no image.
   * @throws as `submit`, ClusterUnfit where the image's template does not describe how
   */
  async run(image: ImageView, { by, ...terms }: RunOrder): Promise<AcceptedBuild> {
    const { clock, clusters, farmKey } = this.#options;
    const known = clusters.find(({ name }) => name === image.cluster);
    const cluster = requireCluster(known, image.cluster);
    const run = { id: newUlid(clock.now()), image: `${image.module}:${image.version}`, ...terms };
    const kept = await readRunnable(cluster.client, image);
    const module = cloneModule(kept, image, { run, open: (sealed) => farmKey.open(sealed) });
    return this.#accept(packModules([module]), { idempotencyKey: null, submittedBy: by, digest: '', run: run.image });
  }

  /**
   * Retries the modules of a build that did not succeed, as submitted, from the failed phase where that finds all objects as it
   * was; layers that are there by now are reused.
   * @throws as `submit` and `modulesToRetry`
   */
  async retry(
    {
      build,
      layerBuilds,
    }: { readonly build: StoredBuild; readonly layerBuilds: ReadonlyMap<string, StoredLayerBuild> },
    { name, keepMs = null }: Omit<Submitter, 'idempotencyKey'>,
  ): Promise<AcceptedBuild> {
    const { farmKey, clock, clusters, failureRetentionMs } = this.#options;
    const modules = modulesToRetry(build, layerBuilds, (sealed) => farmKey.open(sealed));
    const kept = keepMs === null ? {} : { keepMs };
    const asked = { clusters: clusters.map(({ client }) => client), now: clock.now(), failureRetentionMs };
    const retried = await findResumptions(build, layerBuilds, asked);
    return this.#accept(
      packModules(modules),
      { idempotencyKey: null, submittedBy: name, digest: '', ...kept },
      retried,
    );
  }

  async #accept(
    { modules, ...read }: ReadModules,
    sender: Omit<BuildSubmission, 'buildId' | 'retentionMs' | 'criticalPath' | 'modules'> & {
      readonly submittedBy: string;
    },
    retried: Readonly<Record<string, Resumption>> = {},
  ): Promise<AcceptedBuild> {
    const { redis, clock, planner, retentionMs, blobs } = this.#options;
    const { facts, sealed } = await this.#resolve(read);
    for (let attempt = 0; attempt < MAX_PLANS; attempt += 1) {
      // A new id for each plan: the farm remembers that the plan of an id was stale, so that a repeated request gets the same answer.
      const buildId = newUlid(clock.now());
      const build = { ...sender, buildId, retentionMs };
      const catalog = await readCatalog(redis, read.parents);
      const known = { modules, facts, catalog, now: clock.now(), nonce: buildId };
      const clusters = await this.#lookAtClusters(sender.submittedBy);
      const task = { ...known, clusters, sealed, build, hasBlobs: blobs !== null, retried };
      const { plan, submission, files } = await planner.run('build', task);
      await this.#useFiles(files);
      const reply = await sendSubmission(redis, submission);
      if (reply.outcome === 'stale') continue;
      const isNew = reply.outcome === 'accepted';
      return planner.run('describeAccepted', {
        buildId: reply.buildId,
        modules: reply.modules,
        plan: isNew ? plan : null,
      });
    }
    throw new FarmError('CatalogChanging', 'The catalog kept changing while the build was planned. Try again.');
  }

  /** Resolves unpinned contents to facts, and returns the secrets that belong to them. */
  async #resolve({ unresolved, secrets }: Pick<ReadModules, 'unresolved' | 'secrets'>) {
    const { agent, clusters, farmKey } = this.#options;
    const { sealed, fingerprints, fill } = await pinSecrets(secrets, this.#options);
    const fingerprint = (secret: Buffer) => farmKey.fingerprint(secret);
    const asked = { agent, fingerprint, fill, clusters: clusters.map(({ client }) => client) };
    const facts: Facts = { ...(await resolveFacts(unresolved, asked)), secrets: fingerprints };
    return { facts, sealed };
  }

  /** As the owner of a build may use them. */
  #lookAtClusters(owner: string): Promise<PlanCluster[]> {
    const { redis, clusters, blobsUrlOf, owners } = this.#options;
    const quota = termsOf(owners, owner);
    return Promise.all(
      clusters.map(async (cluster) => {
        const { name, namespace } = cluster;
        const control = await readControl(redis, cluster);
        const limits = withinQuota(control.limits, quota);
        const { vms } = await readUsage(redis, name);
        const healthy = (await readTrouble(redis, name)) === null;
        const network = await cluster.network();
        const storage = await readRoom(redis, name);
        const found = { vms, healthy, network, storage, blobsUrl: blobsUrlOf(name) };
        return { name, namespace, limits, labels: control.labels, closed: closedBy(control), ...found };
      }),
    );
  }

  /** Every file is here, and counts as used now. @throws BlobMissing */
  async #useFiles(files: readonly NeededFile[]): Promise<void> {
    const { blobs } = this.#options;
    const found = await eachOf(files, async (file) => ((await blobs?.use(file.sha256)) ? [] : [file]));
    const missing = found.flat();
    if (missing.length === 0) return;
    const named = missing.slice(0, NAMED).map(({ sha256, path }) => `"${path}" (${sha256})`);
    const more = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : '';
    const message = `The farm does not have the content of ${named.join(', ')}${more}.`;
    throw new FarmError('BlobMissing', message, { details: { missing: missing.map(({ sha256 }) => sha256) } });
  }
}

/** Why a cluster takes no new modules, half a sentence; null: it does. */
function closedBy({ mode, changed }: ClusterControl): string | null {
  const words = { open: null, cordoned: 'cordoned', draining: 'being drained', paused: 'paused' }[mode];
  return words && `it is ${words}, by ${changed?.by}`;
}

function withinQuota(limits: Limits, { vms = Infinity, cpu = Infinity, memoryBytes = Infinity }: OwnerTerms): Limits {
  return {
    ...limits,
    vms: Math.min(limits.vms, vms),
    cpu: Math.min(limits.cpu, cpu),
    memoryBytes: Math.min(limits.memoryBytes, memoryBytes),
  };
}
