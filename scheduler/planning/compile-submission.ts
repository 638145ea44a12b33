import type { LayerSpec } from '../../common/contracts/layers.ts';
import { PHASE_SECONDS, PHASES } from '../../common/contracts/phases.ts';
import type { PlanModule } from '../../common/contracts/plans.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { SubmittedModule, SubmittedPhase } from '../../common/redis/write-submission.ts';
import type { GraphPlan } from '../graph/expand.ts';
import { lacksInternet, type NetworkOffer, type NetworkOffers, withoutInternet } from '../graph/network-offers.ts';
import { phaseJobs } from '../graph/phase-jobs.ts';
import { planningError, problemOf } from '../graph/planning-problems.ts';
import { changeSecrets } from './seal-modules.ts';

/** A plan with its decisions. */
export interface SubmissionInput {
  readonly graph: GraphPlan;
  /** Cluster of every module that is not reused. */
  readonly clusterOf: ReadonlyMap<string, string>;
  readonly networks: NetworkOffers;
  namespaceOf(cluster: string): string;
  /** Where the cluster and its workers read local files; null: nowhere. */
  blobsUrlOf(cluster: string): string | null;
  seal(secret: string): string;
  /** The values that the modules' secrets have, sealed, by name. */
  readonly secrets: Readonly<Record<string, string>>;
  newId(): string;
  /** How long machines of modules held their slots before (seconds), by name of the module. */
  readonly machineSeconds: ReadonlyMap<string, number>;
}

/** A plan as the farm's state takes it: secrets sealed, jobs as in-degrees inside their modules. Pure but for ids. */
export function compileSubmission(input: SubmissionInput): SubmittedModule[] {
  const { graph, clusterOf } = input;
  const priorities = remainingSeconds(graph.plan.modules, input.machineSeconds);
  return graph.plan.modules.map(({ name, layerKey, action, why, dependsOn }): SubmittedModule => {
    if (action === 'reuse') return { action, name, layerKey, why, dependsOn };
    const layer = graph.layers[name];
    const cluster = clusterOf.get(name);
    assert(layer?.spec && cluster, `Module "${name}" is planned and placed before it is submitted.`);
    return {
      action,
      name,
      layerKey,
      why,
      dependsOn,
      recipeKey: layer.recipeKey,
      layerBuild: input.newId(),
      parents: layer.parents,
      cluster,
      namespace: input.namespaceOf(cluster),
      priority: priorities.get(name) ?? 0,
      spec: withBlobs(
        sealSpec(withNetwork(layer.spec, cluster, input.networks[cluster]), input.seal),
        input.blobsUrlOf(cluster),
      ),
      secrets: secretsOf(layer.spec, input.secrets),
      phases: phasesOf(layer.spec),
    };
  });
}

const USUAL_MACHINE_SECONDS = PHASES.reduce((sum, phase) => sum + (phase === 'import' ? 0 : PHASE_SECONDS[phase]), 0);

/** The longest chain from the start of a module to the end of the plan: by how long modules took before, else by rough phase times. */
function remainingSeconds(
  modules: readonly PlanModule[],
  machineSeconds: ReadonlyMap<string, number>,
): Map<string, number> {
  const lasts = (name: string) => PHASE_SECONDS.import + (machineSeconds.get(name) ?? USUAL_MACHINE_SECONDS);
  const behind = new Map<string, number>();
  const remaining = new Map<string, number>();
  for (const { name, dependsOn, action } of modules.toReversed()) {
    const seconds = (behind.get(name) ?? 0) + (action === 'reuse' ? 0 : lasts(name));
    remaining.set(name, seconds);
    for (const parent of dependsOn) behind.set(parent, Math.max(behind.get(parent) ?? 0, seconds));
  }
  return remaining;
}

/** Also for a module that joins: the layer build that it would have joined may have ended by now. */
function phasesOf({ module }: LayerSpec): SubmittedPhase[] {
  const jobs = phaseJobs(module, []);
  const byId = new Map(jobs.map((job) => [job.id, job]));
  return jobs.map(({ vm, phase, dependsOn }) => ({
    vm,
    phase,
    dependsOn: dependsOn.flatMap((id) => byId.get(id) ?? []),
  }));
}

function secretsOf({ module }: LayerSpec, sealed: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    module.secrets.map(({ name }) => {
      const value = sealed[name];
      assert(value !== undefined, `The secret "${name}" was pinned before its module is submitted.`);
      return [name, value];
    }),
  );
}

/** A layer as the network of its cluster requires it. */
function withNetwork(spec: LayerSpec, cluster: string, offer: NetworkOffer | null | undefined): LayerSpec {
  if (offer === null) {
    const message = `the cluster "${cluster}" has not answered yet, so its kind of network is unknown`;
    throw planningError([problemOf(spec.module, { code: 'ClusterUnavailable', message })]);
  }
  const placed = offer ? { ...spec, networkKind: offer.kind } : spec;
  return lacksInternet(placed, offer) ? withoutInternet(placed) : placed;
}

function withBlobs(spec: LayerSpec, blobsUrl: string | null): LayerSpec {
  return blobsUrl === null ? spec : { ...spec, blobsUrl };
}

function sealSpec(spec: LayerSpec, seal: (secret: string) => string): LayerSpec {
  return { ...spec, module: changeSecrets(spec.module, seal) };
}
