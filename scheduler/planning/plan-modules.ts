import type { FarmKey } from '../../common/config/sealing.ts';
import { own } from '../../common/contracts/own.ts';
import { unknownSteps } from '../../common/contracts/step-references.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { type LayerCatalog, parseCatalog, type UnfinishedLayer } from '../../common/redis/layers.ts';
import { type SubmittedModule, writeSubmission } from '../../common/redis/write-submission.ts';
import { expandGraph, type GraphPlan } from '../graph/expand.ts';
import type { OfferedLayer } from '../graph/facts.ts';
import type { NetworkOffers } from '../graph/network-offers.ts';
import { compileSubmission } from './compile-submission.ts';
import { withMissingInternet } from './missing-internet.ts';
import { neededFiles } from './needed-files.ts';
import { type Known, placePlan } from './place-plan.ts';
import { type BuildTask, type JsonBytes, type PlannedBuild, type PlanTask, writeJson } from './plan-task.ts';
import { unpackModules } from './read-modules.ts';
import { newUlid } from './ulid.ts';

/** The plan of modules, as JSON. @throws as `expandGraph` and `placeModules` */
export function planModules(task: PlanTask, farmKey: FarmKey): JsonBytes {
  const { graph, clusterOf, networks } = expandAndPlace(task, farmKey);
  return writeJson(withMissingInternet(graph, clusterOf, networks));
}

/** @throws as `planModules`, LocalFilesOff, InvalidRequest */
export function planBuild(task: BuildTask, farmKey: FarmKey): PlannedBuild {
  assertSteps(task);
  const { graph, clusterOf, networks, machineSeconds } = expandAndPlace(task, farmKey);
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
    machineSeconds,
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

function retriedOf(module: SubmittedModule, { retried = {} }: BuildTask): SubmittedModule {
  return module.action === 'build' ? { ...module, ...own(retried, module.name) } : module;
}

interface PlacedGraph extends Pick<LayerCatalog, 'machineSeconds'> {
  readonly graph: GraphPlan;
  readonly clusterOf: ReadonlyMap<string, string>;
  readonly networks: NetworkOffers;
}

function expandAndPlace(task: PlanTask, farmKey: FarmKey): PlacedGraph {
  const catalog = parseCatalog(task.catalog);
  const networks = Object.fromEntries(task.clusters.map(({ name, network }) => [name, network]));
  const graph = expand(task, { catalog, networks }, farmKey);
  const { machineSeconds } = catalog;
  return { graph, networks, machineSeconds, clusterOf: placePlan(graph, { catalog, networks }, task) };
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

/** The layers by what `buildRef` may pin. */
function pinnable({ images, tags }: LayerCatalog): Record<string, string> {
  const versions = images.map(({ module, version, layerKey }) => [`${module}:${version}`, layerKey]);
  return Object.fromEntries([...versions, ...tags.map(({ module, tag, layerKey }) => [`${module}@${tag}`, layerKey])]);
}

/**
 * By its module, an unfinished layer as its children may start from it; sizes that its sources decide are not known yet. None where
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
  throw new FarmError('InvalidRequest', `Step "${unknown}" to pause before not found: ${known}.`);
}
