import type { Action } from '../../common/contracts/events.ts';
import type { LayerSpec } from '../../common/contracts/layers.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { notYetSupported } from '../../common/contracts/module/not-yet-supported.ts';
import { didYouMean } from '../../common/contracts/module/suggest.ts';
import type { Plan, PlanModule } from '../../common/contracts/plans.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { shownUrl } from '../../common/text/shown-url.ts';
import { type Candidate, type Choice, chooseLayer } from './choose-layer.ts';
import { criticalPath } from './critical-path.ts';
import type { ParentVm } from './disks.ts';
import type { Catalog, Facts } from './facts.ts';
import { indexLayers, type KnownLayers } from './known-layers.ts';
import { recipeKey } from './layer-key.ts';
import { planLayer } from './layer-plan.ts';
import { type ClusterLimits, limitProblems } from './limits.ts';
import { type NetworkOffers, networkProblems } from './network-offers.ts';
import { type ModuleParents, parentsOf } from './parents.ts';
import { phaseJobs, snapshotJobIds } from './phase-jobs.ts';
import { planningError, problemOf, type UnplacedProblem } from './planning-problems.ts';
import { type ResolvedModule, resolveReferences } from './references.ts';

export interface GraphInput {
  /** Compiled, with their secrets in the open; their names are unique unless that is the problem. */
  readonly modules: readonly CompiledModule[];
  readonly facts: Facts;
  readonly catalog: Catalog;
  /** A keyed hash (HMAC) of a secret. */
  readonly fingerprint: (secret: string) => string;
  /**
   * Something that no other submission has. It enters the keys of layers with an unknown content: built twice they may
   * differ, so they must be two layers, also for the layers on top of them.
   */
  readonly nonce?: string;
  readonly options?: GraphOptions;
}

export interface GraphOptions {
  /** Builds every module, also where its layer exists. */
  readonly noCache?: boolean;
  /** Names of modules to build even if their layers exist: they get new layers, so their dependents are built too. */
  readonly rebuild?: readonly string[];
  /** Without them limits are not checked. */
  readonly limits?: ClusterLimits;
  /** Without them every network is offered. */
  readonly networks?: NetworkOffers;
  /** `warning` when no farm was asked: the module may be there, and every key below it is provisional. Default: error. */
  readonly unknownParents?: 'error' | 'warning';
}

/** Plan of one module of the submission. */
export interface LayerPlan {
  /**
   * The layer to build. Its `sshPassword` is in clear text: seal it before it is stored. Null below an unknown parent, which
   * is only possible where `unknownParents` is `warning`.
   */
  readonly spec: LayerSpec | null;
  readonly layerKey: string;
  readonly recipeKey: string;
  /** The content of some source is not known, so the layer is neither reused nor joined. */
  readonly provisional: boolean;
  readonly action: Action;
  /** layerKeys of the layers that it starts from. */
  readonly parents: readonly string[];
}

export interface GraphPlan {
  readonly plan: Plan;
  /** By name of the module. */
  readonly layers: Readonly<Record<string, LayerPlan>>;
}

/** A plan, as far as there is one, and everything that was found on the way. */
export interface GraphSurvey extends GraphPlan {
  readonly problems: readonly Problem[];
}

/**
 * Expands modules into a plan: pure, in linear time, the same for the same input. Errors are reported all at once.
 *
 * @throws FarmError with `details.problems` (`Problem[]`), and the code of the first error that has one in the error
 * table: GraphCycle, UnknownModule, ExceedsLimits, NetworkNotOffered, NotYetSupported, else InvalidModule; InvalidRequest when `rebuild`
 * names a module that is not among them.
 */
export function expandGraph(input: GraphInput): GraphPlan {
  const { plan, layers, problems } = surveyGraph(input);
  if (problems.some((problem) => problem.severity === 'error')) throw planningError(problems);
  return { plan, layers };
}

/** As `expandGraph`, but returns problems instead of throwing; the plan is complete only without errors. */
export function surveyGraph(input: GraphInput): GraphSurvey {
  const { catalog, options: { unknownParents = 'error', rebuild = [] } = {} } = input;
  checkRebuild(rebuild, input.modules);
  const resolved = resolveReferences(input.modules, { catalog, unknownParents });
  const known = indexLayers(catalog);
  const survey: Survey = { input, known, problems: [...resolved.problems], planned: new Map(), built: new Map() };
  const entries = resolved.modules.map((module) => planModule(module, survey));
  const modules = entries.map(({ row }) => row);
  const jobs = modules.flatMap((module) => module.jobs);
  return {
    plan: {
      modules,
      criticalPath: criticalPath(jobs),
      totals: { modules: modules.length, jobs: jobs.length },
      warnings: [
        ...survey.problems.filter(({ severity }) => severity === 'warning').map(({ message }) => message),
        ...leftBehind(survey),
      ],
    },
    layers: Object.fromEntries(entries.map(({ row, layer }) => [row.name, layer])),
    problems: survey.problems,
  };
}

interface Survey {
  readonly input: GraphInput;
  readonly known: KnownLayers;
  readonly problems: Problem[];
  /** The modules planned so far, by name; parents come before their children. */
  readonly planned: Map<string, PlannedModule>;
  /** Which module of the plan builds a layer of a recipe, by recipeKey: a second one of that recipe joins it. */
  readonly built: Map<string, { readonly module: CompiledModule; readonly layerKey: string }>;
}

interface PlannedModule {
  readonly row: PlanModule;
  readonly layer: LayerPlan;
  /** Disks that other modules can start from, by name of the VM. */
  readonly offered: ReadonlyMap<string, ParentVm>;
}

function planModule(resolved: ResolvedModule, survey: Survey): PlannedModule {
  const { module } = resolved;
  const { facts, fingerprint, nonce, options } = survey.input;
  const parents = parentsOf(resolved, survey.planned);
  const { recipeKey: recipe, unresolved } = recipeKey(module, { facts, parents: parents.vms, fingerprint, nonce });
  const provisional = parents.provisional || unresolved.length > 0;
  const whyNew = whyBuilt(module, { parents, unresolved }, survey);
  const { action, layerKey, why } = choose({ module, recipeKey: recipe, provisional, whyNew }, survey);
  if (action === 'build') survey.built.set(recipe, { module, layerKey });

  const { spec, offered, problems } = planLayer({ module, layerKey, facts, parents: parents.vms });
  const refusals =
    action === 'build'
      ? [...limitProblems(spec.vms, options?.limits ?? {}), ...networkProblems(spec, options?.networks ?? {})]
      : [];
  report(module, { problems: [...problems, ...refusals], unresolved }, survey.problems);
  const waitsFor = new Set(parents.modules.flatMap((name) => snapshotsOf(name, survey)));
  const jobs = action === 'build' ? phaseJobs(module, [...waitsFor]) : [];
  const planned: PlannedModule = {
    row: { name: module.name, layerKey, action, why, dependsOn: [...parents.modules], jobs },
    layer: {
      ...{ layerKey, recipeKey: recipe, provisional, action },
      spec: parents.known ? spec : null,
      parents: parents.layerKeys,
    },
    offered,
  };
  survey.planned.set(module.name, planned);
  return planned;
}

function checkRebuild(rebuild: readonly string[], modules: readonly CompiledModule[]): void {
  if (rebuild.length === 0) return;
  const names = new Set(modules.map((module) => module.name));
  const wrong = rebuild.find((name) => !names.has(name));
  if (wrong === undefined) return;
  throw new FarmError('InvalidRequest', `Module "${wrong}" to rebuild not found${didYouMean(wrong, [...names])}`);
}

function choose(candidate: Candidate, { input, known, built }: Survey): Choice {
  const { noCache = false, rebuild = [] } = input.options ?? {};
  return chooseLayer(candidate, { catalog: input.catalog, known, built, noCache, rebuild });
}

/** Reason for building a module whose recipe has no layer. */
function whyBuilt(
  { name, vms }: CompiledModule,
  { parents, unresolved }: { readonly parents: ModuleParents; readonly unresolved: readonly string[] },
  { known, planned }: Survey,
): string {
  const made = parents.modules.find((parent) => planned.get(parent)?.row.action !== 'reuse');
  if (made !== undefined) return `parent ${made} is ${known.currentOf(made) ? 'rebuilt' : 'built'}`;
  if (unresolved.length > 0) return 'its content cannot be identified, so it may have changed';
  const current = known.currentOf(name);
  if (!current) return 'not built before';
  const image = `${name}:${current.version}`;
  for (const { name: vm, source } of vms) {
    if (source.kind !== 'buildRef' || current.parents.length === 0) continue;
    const parent = parents.vms.get(vm)?.layerKey ?? '';
    if (!current.parents.includes(parent)) return `${image} is based on another version of ${source.module}`;
  }
  return `changed since ${image}`;
}

const MAX_NAMED = 5;

/** Children of layers that the plan replaces which are not among its modules: they are not rebuilt. */
function leftBehind({ planned, known }: Survey): string[] {
  return [...planned.values()].flatMap(({ row }) => {
    const former = row.action === 'reuse' ? undefined : known.currentOf(row.name);
    if (!former || former.layerKey === row.layerKey) return [];
    const left = known.childrenOf(former.layerKey).filter(({ module }) => !planned.has(module));
    if (left.length === 0) return [];
    const names = left.slice(0, MAX_NAMED).map(({ module, version }) => `${module}:${version}`);
    const more = left.length > MAX_NAMED ? ` and ${left.length - MAX_NAMED} more` : '';
    const verb = left.length === 1 ? 'is not rebuilt and stays based' : 'are not rebuilt and stay based';
    return [`${names.join(', ')}${more} ${verb} on ${former.module}:${former.version}, which this build replaces`];
  });
}

/** The snapshot jobs in this plan that make the layer of a module; none when the plan does not build it. */
function snapshotsOf(name: string, { planned, built }: Survey): string[] {
  const { layerKey, recipeKey: recipe = '' } = planned.get(name)?.layer ?? {};
  const builder = built.get(recipe);
  return builder && builder.layerKey === layerKey ? snapshotJobIds(builder.module) : [];
}

interface Found {
  readonly problems: readonly UnplacedProblem[];
  readonly unresolved: readonly string[];
}

function report(module: CompiledModule, { problems, unresolved }: Found, reported: Problem[]): void {
  for (const problem of notYetSupported(module)) reported.push({ ...problem, severity: 'error' });
  for (const problem of problems) reported.push(problemOf(module, problem));
  for (const url of unresolved) {
    const message = `the identity of ${shownUrl(url)} is not resolved; layerKey is provisional`;
    reported.push(problemOf(module, { code: 'Provisional', message }, 'warning'));
  }
}
