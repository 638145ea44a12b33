import type { FarmKey } from '../../common/config/sealing.ts';
import { blobsIn } from '../../common/contracts/blobs.ts';
import type { Limits } from '../../common/contracts/builds.ts';
import type { Labels } from '../../common/contracts/cluster-control.ts';
import type { Action } from '../../common/contracts/events.ts';
import type { LocalEntry } from '../../common/contracts/local-files.ts';
import { own } from '../../common/contracts/own.ts';
import type { Plan } from '../../common/contracts/plans.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { unknownSteps } from '../../common/contracts/step-references.ts';
import type { StorageRoom } from '../../common/contracts/storage.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import { type BuildModule, readBuildModules } from '../../common/redis/builds.ts';
import {
  type LayerCatalog,
  parseCatalog,
  type StoredCatalog,
  type UnfinishedLayer,
} from '../../common/redis/layers.ts';
import {
  type BuildSubmission,
  type BuiltModule,
  type SubmittedModule,
  writeSubmission,
} from '../../common/redis/submissions.ts';
import { fullStorage } from '../../common/text/storage-words.ts';
import { expandGraph, type GraphPlan } from '../graph/expand.ts';
import type { Facts, OfferedLayer } from '../graph/facts.ts';
import { type Finding, planningError, problemOf } from '../graph/findings.ts';
import { type NetworkOffer, type NetworkOffers, obstaclesOf, wishesInternet } from '../graph/network-offers.ts';
import { compileSubmission } from './compile-submission.ts';
import { withMissingInternet } from './missing-internet.ts';
import { placeModules } from './place-modules.ts';
import { type PackedModules, unpackModules } from './read-modules.ts';
import { newUlid } from './ulid.ts';

/** JSON that only planning threads read and write. */
export type JsonBytes = Uint8Array;

/** Modules to plan, and all that is known about them. */
export interface PlanTask {
  /** Whether the farm keeps files: local ones, and those that layers are copied by between clusters. */
  readonly hasBlobs: boolean;
  readonly modules: PackedModules;
  readonly facts: Facts;
  readonly catalog: StoredCatalog;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** As in `GraphInput`. */
  readonly nonce: string;
  readonly clusters: readonly PlanCluster[];
}

/** A cluster as it is at the moment. */
export interface PlanCluster {
  readonly name: string;
  readonly namespace: string;
  readonly limits: Limits;
  /** Virtual machines that exist. */
  readonly vms: number;
  readonly healthy: boolean;
  readonly labels: Labels;
  /** Why it takes no new modules, half a sentence; null: it does. */
  readonly closed: string | null;
  /** What its network offers; null while it is not known. */
  readonly network: NetworkOffer | null;
  /** Its free storage for new volumes; null while it is not known. */
  readonly storage: StorageRoom | null;
  /** Where the cluster and its workers read local files; null: nowhere. */
  readonly blobsUrl: string | null;
}

/** Modules to plan and to submit. */
export interface BuildTask extends PlanTask {
  /** The values that the modules' secrets have, sealed, by name. */
  readonly sealed: Readonly<Record<string, string>>;
  readonly build: Omit<BuildSubmission, 'modules'>;
  /** Of modules that failed in another build: what is built of them now, by name. */
  readonly retried?: Readonly<Record<string, Pick<BuiltModule, 'why' | 'resumes'>>>;
}

/** A plan that can be submitted. */
export interface PlannedBuild {
  readonly plan: JsonBytes;
  /** What `sendSubmission` takes. */
  readonly submission: readonly string[];
  /** Local files of the layers that are to be made; what is reused needs none. */
  readonly files: readonly NeededFile[];
}

/** Its path is null where the request itself does not say it. */
export interface NeededFile {
  readonly sha256: string;
  readonly path: string | null;
}

/** What became of a build that was submitted. */
export interface SubmittedTask {
  readonly buildId: string;
  /** Null where the same request was accepted before. */
  readonly plan: JsonBytes | null;
  /** The modules as the farm's state has them. */
  readonly modules: string;
}

/** The answer to a submission, and what is to be noted about it. */
export interface AcceptedBuild {
  readonly buildId: string;
  /** `{buildId, plan}` */
  readonly answer: JsonBytes;
  /** Names. */
  readonly modules: readonly string[];
  /** Layers by what is done about them; none where nothing was submitted. */
  readonly actions: Readonly<Partial<Record<Action, number>>>;
}

/** The plan of modules, as JSON. @throws as `expandGraph` and `placeModules` */
export function planModules(task: PlanTask, farmKey: FarmKey): JsonBytes {
  const { graph, clusterOf, networks } = expandAndPlace(task, farmKey);
  return writeJson(withMissingInternet(graph, clusterOf, networks));
}

/** @throws as `planModules`, LocalFilesOff, InvalidRequest */
export function planBuild(task: BuildTask, farmKey: FarmKey): PlannedBuild {
  assertSteps(task);
  const { graph, clusterOf, networks } = expandAndPlace(task, farmKey);
  const of = (name: string) => task.clusters.find((cluster) => cluster.name === name);
  const modules = compileSubmission({
    graph,
    clusterOf,
    networks,
    blobsUrlOf: (cluster) => of(cluster)?.blobsUrl ?? null,
    namespaceOf: (cluster) => of(cluster)?.namespace ?? '',
    seal: (secret) => farmKey.seal(secret),
    secrets: task.sealed,
    newId: () => newUlid(task.now),
  });
  return {
    plan: writeJson(withMissingInternet(graph, clusterOf, networks)),
    submission: writeSubmission({
      ...task.build,
      criticalPath: graph.plan.criticalPath,
      modules: modules.map((module) => retriedOf(module, task)),
    }),
    files: neededFiles(graph, task, (module) => of(clusterOf.get(module) ?? '')),
  };
}

/** A plan with what became of it: others may have begun the same meanwhile, or the request was accepted before. */
export function tellAccepted({ buildId, plan, modules }: SubmittedTask): AcceptedBuild {
  const accepted = readBuildModules(modules);
  const carriedOut = plan === null ? planOf(accepted) : withOutcome(readJson<Plan>(plan), accepted);
  const actions: Partial<Record<Action, number>> = {};
  if (plan !== null) for (const { action } of carriedOut.modules) actions[action] = (actions[action] ?? 0) + 1;
  const names = carriedOut.modules.map(({ name }) => name);
  return { buildId, answer: writeJson({ buildId, plan: carriedOut }), modules: names, actions };
}

function retriedOf(module: SubmittedModule, { retried = {} }: BuildTask): SubmittedModule {
  return module.action === 'build' ? { ...module, ...own(retried, module.name) } : module;
}

interface PlacedGraph extends Networks {
  readonly graph: GraphPlan;
  readonly clusterOf: ReadonlyMap<string, string>;
}

/** What is known of the farm when modules are planned and placed. */
interface Known extends Networks {
  readonly catalog: LayerCatalog;
}

interface Networks {
  readonly networks: NetworkOffers;
}

function expandAndPlace(task: PlanTask, farmKey: FarmKey): PlacedGraph {
  const catalog = parseCatalog(task.catalog);
  const networks = Object.fromEntries(task.clusters.map(({ name, network }) => [name, network]));
  const graph = expand(task, { catalog, networks }, farmKey);
  return { graph, networks, clusterOf: place(graph, { catalog, networks }, task) };
}

function expand(task: PlanTask, { catalog, networks }: Known, farmKey: FarmKey): GraphPlan {
  const { modules, noCache, rebuild } = unpackModules(task.modules);
  return expandGraph({
    modules,
    facts: task.facts,
    nonce: task.nonce,
    catalog: {
      layers: Object.fromEntries(catalog.layers),
      newest: Object.fromEntries(catalog.newest),
      images: pinnable(catalog),
      unfinished: Object.fromEntries([...catalog.unfinished.values()].flatMap(offered)),
      building: catalog.unfinished,
      now: task.now,
    },
    fingerprint: (secret) => farmKey.fingerprint(secret),
    options: {
      noCache,
      rebuild,
      limits: Object.fromEntries(task.clusters.map(({ name, limits }) => [name, limits])),
      networks,
    },
  });
}

function place(
  { plan, layers }: GraphPlan,
  { catalog, networks }: Known,
  { clusters, hasBlobs }: PlanTask,
): Map<string, string> {
  const unfinished = [...catalog.unfinished.values()];
  const candidates = clusters.map(({ name, limits, vms, healthy, labels, closed, storage, blobsUrl }) => {
    const waiting = unfinished.filter((layer) => layer.cluster === name).length;
    const hasEgress = networks[name]?.hasEgress === true;
    const full = fullStorage(storage);
    const getsCopies = hasBlobs && blobsUrl !== null;
    return { name, limits, load: (vms + waiting) / limits.vms, healthy, labels, closed, hasEgress, full, getsCopies };
  });
  const built = plan.modules.filter(({ action }) => action !== 'reuse');
  const names = new Set(built.map(({ name }) => name));
  const clusterOf = (key: string) => catalog.unfinished.get(key)?.cluster ?? catalog.layers.get(key)?.cluster;
  const madeHere = new Set(built.filter(({ action }) => action === 'build').map(({ layerKey }) => layerKey));
  const modules = built.map(({ name, dependsOn, action, layerKey }) => {
    const others = (layers[name]?.parents ?? []).filter((key) => !madeHere.has(key));
    const near = new Map(
      others.flatMap((key) => {
        const cluster = clusterOf(key);
        return cluster === undefined ? [] : [[key, cluster] as const];
      }),
    );
    const joins = action === 'join' ? clusterOf(layerKey) : undefined;
    const spec = layers[name]?.spec;
    assert(spec, `Module "${name}" is planned before it is placed.`);
    const former = catalog.layers.get(catalog.newest.get(name) ?? '');
    const formerly = former?.recipeKey === layers[name]?.recipeKey ? former?.cluster : undefined;
    return {
      ...{ name, origin: spec.module.origin, near, joins, formerly, vms: spec.vms },
      clusterLabels: spec.module.clusterLabels ?? {},
      parents: dependsOn.filter((parent) => names.has(parent)),
      wishesInternet: wishesInternet(spec),
      obstacles: action === 'build' ? obstaclesOf(spec, networks) : new Map(),
    };
  });
  return placeModules(modules, candidates);
}

/** The layers by what `buildRef` may pin. */
function pinnable({ images, tags }: LayerCatalog): Record<string, string> {
  const versions = images.map(({ module, version, layerKey }) => [`${module}:${version}`, layerKey]);
  return Object.fromEntries([...versions, ...tags.map(({ module, tag, layerKey }) => [`${module}@${tag}`, layerKey])]);
}

/**
 * By its module, a layer in layer as its children may start from it; sizes that its sources decide are not known yet. None where
 * no module starts from it.
 */
function offered({ module, layerKey, spec }: UnfinishedLayer): [string, OfferedLayer][] {
  if (!spec) return [];
  const vms = spec.vms.map(({ name, disks, templateNics }) => ({
    vm: name,
    firmware: spec.module.vms.find((vm) => vm.name === name)?.firmware.kind ?? 'bios',
    disks: disks.map(({ name: disk, sizeBytes, bus }) => ({ name: disk, sizeBytes: sizeBytes ?? 0, bus })),
    nicModels: templateNics.map(({ model }) => model),
  }));
  return [[module, { layerKey, vms }]];
}

function neededFiles(
  { plan, layers }: GraphPlan,
  task: BuildTask,
  clusterOf: (module: string) => PlanCluster | undefined,
): NeededFile[] {
  const needed = new Set<string>();
  const problems: Problem[] = [];
  for (const { name, action } of plan.modules) {
    const found = action === 'reuse' ? new Set<string>() : blobsIn(JSON.stringify(layers[name]?.spec ?? null));
    const finding = found.size > 0 && unreadable(clusterOf(name), task.hasBlobs);
    const module = layers[name]?.spec?.module;
    if (finding && module) problems.push(problemOf(module, finding));
    for (const sha256 of found) needed.add(sha256);
  }
  if (problems.length > 0) throw planningError(problems);
  const paths = pathsOf(unpackModules(task.modules).localFiles);
  return [...needed].map((sha256) => ({ sha256, path: paths.get(sha256) ?? null }));
}

/** @throws InvalidRequest when the build is to pause before a step that no module has */
function assertSteps({ build: { pauseBefore = [] }, modules }: BuildTask): void {
  if (pauseBefore.length === 0) return;
  const read = unpackModules(modules).modules;
  const [unknown] = unknownSteps(pauseBefore, read);
  if (unknown === undefined) return;
  const steps = read.flatMap(({ vms }) =>
    vms.flatMap(({ name, steps }) => steps.map((step, at) => `${name}/${step.name ?? at + 1}`)),
  );
  const known = steps.length === 0 ? 'the modules have none' : `steps are ${steps.join(', ')}`;
  throw new FarmError('InvalidRequest', `There is no step "${unknown}" to pause before: ${known}.`);
}

function unreadable(cluster: PlanCluster | undefined, hasBlobs: boolean): Finding | undefined {
  if (hasBlobs && cluster && cluster.blobsUrl !== null) return undefined;
  const option = hasBlobs ? 'blobs.url' : 'blobs.directory';
  const message = `it names local files, which this farm cannot hand to the cluster "${cluster?.name}": the option ${option} is missing`;
  return { code: 'LocalFilesOff', message };
}

function pathsOf(localFiles: readonly LocalEntry[]): ReadonlyMap<string, string> {
  return new Map(localFiles.flatMap((entry) => ('sha256' in entry ? [[entry.sha256, entry.path] as const] : [])));
}

function withOutcome(plan: Plan, accepted: readonly BuildModule[]): Plan {
  const byName = new Map(accepted.map((module) => [module.name, module]));
  const modules = plan.modules.map((module) => {
    const { action, layerKey, why } = byName.get(module.name) ?? module;
    return { ...module, action, layerKey, why };
  });
  return { ...plan, modules };
}

/** What is known of the plan of a build that was accepted before: its jobs have been dispatched since. */
function planOf(accepted: readonly BuildModule[]): Plan {
  const modules = accepted.map(({ name, layerKey, action, why, dependsOn }) => {
    return { name, layerKey, action, why, dependsOn: dependsOn.split(' ').filter(Boolean), jobs: [] };
  });
  return { modules, criticalPath: [], totals: { modules: modules.length, jobs: 0 }, warnings: [] };
}

function writeJson(value: unknown): JsonBytes {
  return Buffer.from(JSON.stringify(value));
}

function readJson<T>(bytes: JsonBytes): T {
  return JSON.parse(Buffer.from(bytes).toString()) as T;
}
