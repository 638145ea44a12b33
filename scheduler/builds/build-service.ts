import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Agent } from 'undici';
import type { Clock } from '../../common/clock/clock.ts';
import type { FarmKey } from '../../common/config/sealing.ts';
import type { Limits } from '../../common/contracts/builds.ts';
import { type LocalEntry, lookupIn } from '../../common/contracts/local-files.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { hasErrors } from '../../common/contracts/module/problem.ts';
import type { Plan } from '../../common/contracts/plans.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { BuildModule } from '../../common/redis/builds.ts';
import { type Flight, type LayerCatalog, readCatalog } from '../../common/redis/layers.ts';
import { readTrouble, readUsage } from '../../common/redis/slots.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import type { BlobStore } from '../blobs/blob-store.ts';
import { expandGraph, type GraphInput, type GraphPlan } from '../graph/expand.ts';
import type { Facts, OfferedLayer } from '../graph/facts.ts';
import { type NetworkOffer, type NetworkOffers, obstaclesOf, wishesInternet } from '../graph/network-offers.ts';
import { selectModules } from '../graph/select-modules.ts';
import { assertSent } from './assert-sent.ts';
import { withMissingInternet } from './missing-internet.ts';
import { pinSecrets } from './pin-secrets.ts';
import { placeModules } from './place-modules.ts';
import { resolveFacts } from './resolve-facts.ts';
import type { ObjectCluster } from './resolve-objects.ts';
import { compileSubmission } from './submission.ts';
import { newUlid } from './ulid.ts';

/** The catalog may change between a plan and its acceptance; this often it is planned anew. */
const MAX_PLANS = 4;

/** A cluster that the farm may build on. */
export interface BuildCluster {
  readonly name: string;
  readonly namespace: string;
  readonly limits: Limits;
  readonly client: ObjectCluster;
  /** What its network gives; null while nobody knows. */
  network(): Promise<NetworkOffer | null>;
}

/** What the service works with. */
export interface BuildServiceOptions {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly farmKey: FarmKey;
  /** For the farm's own requests to URLs. */
  readonly agent: Agent;
  readonly clusters: readonly BuildCluster[];
  readonly retentionMs: number;
  /** Null: modules cannot name local files. */
  readonly blobs: Pick<BlobStore, 'use'> | null;
  /** Where a cluster and its workers read local files; null: nowhere. */
  blobsUrlOf(cluster: string): string | null;
}

/** What a client asks to be built. */
export interface BuildRequest {
  readonly files: readonly { readonly path: string; readonly text: string }[];
  readonly variables: Readonly<Record<string, string>>;
  /** What lies beside the files. */
  readonly localFiles: readonly LocalEntry[];
  readonly noCache: boolean;
  /** Names of modules. */
  readonly rebuild: readonly string[];
  /** Names of modules: these and what they start from, the others are left as they are. Empty: all of them. */
  readonly only: readonly string[];
  readonly strict: boolean;
}

/** Who asks for a build, and under which key. */
export interface Submitter {
  readonly idempotencyKey: string | null;
  /** Name of the token. */
  readonly name: string;
}

export interface AcceptedBuild {
  readonly buildId: string;
  readonly plan: Plan;
}

/** Turns modules into plans, and plans into builds. */
export class BuildService {
  readonly #options: BuildServiceOptions;

  constructor(options: BuildServiceOptions) {
    this.#options = options;
  }

  /** The plan of a request at this moment; nothing is changed. @throws as `submit` */
  async plan(request: BuildRequest): Promise<Plan> {
    const modules = readModules(request);
    const { facts } = await this.#resolve(modules);
    const networks = await this.#networks();
    const catalog = await readCatalog(this.#options.redis, parentNames(modules));
    const nonce = newUlid(this.#options.clock.now());
    const graph = this.#expand(request, { modules, facts, catalog, nonce, networks });
    return withMissingInternet(graph, await this.#place(graph, { catalog, networks }), networks);
  }

  /**
   * Accepts a build. The same request under the same key gives the same build again.
   * @throws InvalidModule, NotYetSupported, GraphCycle, UnknownModule, UnknownSecret, ExceedsLimits, NetworkNotOffered (with
   * `details.problems`), SourceUnreachable, ClustersDiffer, ClusterUnavailable, ClusterUnfit, IdempotencyConflict,
   * LocalFilesOff, BlobMissing (with `details.missing`), RedisUnavailable
   */
  async submit(request: BuildRequest, { idempotencyKey, name }: Submitter): Promise<AcceptedBuild> {
    const { redis, clock, retentionMs } = this.#options;
    const modules = readModules(request);
    const { facts, sealed } = await this.#resolve(modules);
    const buildId = newUlid(clock.now());
    const digest = createHash('sha256').update(JSON.stringify(request)).digest('hex');
    const submission = { buildId, idempotencyKey, digest, retentionMs, submittedBy: name };
    const networks = await this.#networks();
    for (let attempt = 0; attempt < MAX_PLANS; attempt += 1) {
      const catalog = await readCatalog(redis, parentNames(modules));
      const graph = this.#expand(request, { modules, facts, catalog, nonce: buildId, networks });
      const clusterOf = await this.#place(graph, { catalog, networks });
      await assertSent(graph, { ...this.#options, clusterOf, localFiles: request.localFiles });
      const submitted = compileSubmission({
        graph,
        clusterOf,
        networks,
        blobsUrlOf: (cluster) => this.#options.blobsUrlOf(cluster),
        namespaceOf: (cluster) => this.#options.clusters.find(({ name }) => name === cluster)?.namespace ?? '',
        seal: (secret) => this.#options.farmKey.seal(secret),
        secrets: sealed,
        newId: () => newUlid(clock.now()),
      });
      const reply = await submitBuild(redis, { ...submission, modules: submitted });
      if (reply.outcome === 'stale') continue;
      return {
        buildId: reply.buildId,
        plan: carriedOut(withMissingInternet(graph, clusterOf, networks), reply.modules),
      };
    }
    throw new FarmError('NoCapacity', 'The catalog changed again and again while the build was planned. Try again.');
  }

  /** What is loose in modules as facts, and the secrets that go with them. */
  async #resolve(modules: readonly CompiledModule[]) {
    const { agent, clusters, farmKey } = this.#options;
    const { sealed, fingerprints, fill } = await pinSecrets(modules, this.#options);
    const fingerprint = (secret: Buffer) => farmKey.fingerprint(secret);
    const asked = { agent, fingerprint, fill, clusters: clusters.map(({ client }) => client) };
    const found = await resolveFacts(modules, asked);
    const facts: Facts = { ...found, secrets: fingerprints };
    return { facts, sealed };
  }

  async #networks(): Promise<NetworkOffers> {
    const { clusters } = this.#options;
    return Object.fromEntries(
      await Promise.all(clusters.map(async (cluster) => [cluster.name, await cluster.network()])),
    );
  }

  #expand(
    request: BuildRequest,
    { catalog, networks, ...planned }: Pick<GraphInput, 'modules' | 'facts' | 'nonce'> & Placing,
  ): GraphPlan {
    const { clusters, farmKey } = this.#options;
    return expandGraph({
      ...planned,
      catalog: {
        layers: Object.fromEntries(catalog.layers),
        newest: Object.fromEntries(catalog.newest),
        images: pinnable(catalog),
        inFlight: Object.fromEntries([...catalog.flights.values()].flatMap(offered)),
        building: catalog.flights,
        now: this.#options.clock.now(),
      },
      fingerprint: (secret) => farmKey.fingerprint(secret),
      options: {
        noCache: request.noCache,
        rebuild: request.rebuild,
        limits: Object.fromEntries(clusters.map(({ name, limits }) => [name, limits])),
        networks,
      },
    });
  }

  async #place({ plan, layers }: GraphPlan, { catalog, networks }: Placing): Promise<Map<string, string>> {
    const clusters = await Promise.all(
      this.#options.clusters.map(async (cluster) => {
        const { redis } = this.#options;
        const usage = await readUsage(redis, cluster.name);
        const healthy = (await readTrouble(redis, cluster.name)) === null;
        const waiting = [...catalog.flights.values()].filter((flight) => flight.cluster === cluster.name).length;
        const load = (usage.vms + waiting) / cluster.limits.vms;
        const hasEgress = networks[cluster.name]?.hasEgress === true;
        return { name: cluster.name, limits: cluster.limits, load, healthy, hasEgress };
      }),
    );
    const built = plan.modules.filter(({ action }) => action !== 'reuse');
    const names = new Set(built.map(({ name }) => name));
    const clusterOf = (key: string) => catalog.flights.get(key)?.cluster ?? catalog.layers.get(key)?.cluster;
    const madeHere = new Set(built.filter(({ action }) => action === 'build').map(({ layerKey }) => layerKey));
    const modules = built.map(({ name, dependsOn, action, layerKey }) => {
      const parents = (layers[name]?.parents ?? []).filter((key) => !madeHere.has(key));
      const boundTo = [...parents, ...(action === 'join' ? [layerKey] : [])].flatMap((key) => clusterOf(key) ?? []);
      const spec = layers[name]?.spec ?? null;
      const former = catalog.layers.get(catalog.newest.get(name) ?? '');
      const formerly = former?.recipeKey === layers[name]?.recipeKey ? former?.cluster : undefined;
      return {
        ...{ name, boundTo, formerly, vms: spec?.vms ?? [] },
        parents: dependsOn.filter((parent) => names.has(parent)),
        wishesInternet: spec !== null && wishesInternet(spec),
        obstacles: spec && action === 'build' ? obstaclesOf(spec, networks) : new Map(),
      };
    });
    return placeModules(modules, clusters);
  }
}

/** What is known of the farm when modules are planned and placed. */
interface Placing {
  readonly catalog: LayerCatalog;
  readonly networks: NetworkOffers;
}

/** The layers by what `buildRef` may pin. */
function pinnable({ images, tags }: LayerCatalog): Record<string, string> {
  const versions = images.map(({ module, version, layerKey }) => [`${module}:${version}`, layerKey]);
  return Object.fromEntries([...versions, ...tags.map(({ module, tag, layerKey }) => [`${module}@${tag}`, layerKey])]);
}

/** The modules that a submission starts from, its own among them. */
function parentNames(modules: readonly CompiledModule[]): ReadonlySet<string> {
  const sources = modules.flatMap(({ vms }) => vms.map(({ source }) => source));
  return new Set(sources.flatMap((source) => (source.kind === 'buildRef' ? [source.module] : [])));
}

/**
 * By its module, a layer in flight as its children may start from it; sizes that its sources decide are not known yet. None where
 * nobody starts from it.
 */
function offered({ module, layerKey, spec }: Flight): [string, OfferedLayer][] {
  if (!spec) return [];
  const vms = spec.vms.map(({ name, disks, templateNics }) => ({
    vm: name,
    firmware: spec.module.vms.find((vm) => vm.name === name)?.firmware.kind ?? 'bios',
    disks: disks.map(({ name: disk, sizeBytes, bus }) => ({ name: disk, sizeBytes: sizeBytes ?? 0, bus })),
    nicModels: templateNics.map(({ model }) => model),
  }));
  return [[module, { layerKey, vms }]];
}

function readModules({ files, variables, strict, only, localFiles }: BuildRequest): readonly CompiledModule[] {
  const { modules, problems } = parseModules(files, { variables, strict, local: lookupIn(localFiles) });
  if (hasErrors(problems)) {
    const [first] = problems.filter((problem) => problem.severity === 'error');
    const sentence = `${first?.file}:${first?.line}:${first?.column}: ${first?.message}`;
    throw new FarmError('InvalidModule', sentence, { details: { problems } });
  }
  if (modules.length === 0) throw new FarmError('InvalidModule', 'There is no module in what was sent.');
  return selectModules(modules, only);
}

/** A plan with what became of it: others may have begun the same meanwhile, or this request was accepted before. */
function carriedOut(plan: Plan, accepted: readonly BuildModule[]): Plan {
  const byName = new Map(accepted.map((module) => [module.name, module]));
  const modules = plan.modules.map((module) => {
    const { action, layerKey, why } = byName.get(module.name) ?? module;
    return { ...module, action, layerKey, why };
  });
  return { ...plan, modules };
}
