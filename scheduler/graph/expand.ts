import type { Action } from '../../common/contracts/events.ts';
import type { LayerSpec } from '../../common/contracts/layers.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { notYetSupported } from '../../common/contracts/module/not-yet-supported.ts';
import { didYouMean } from '../../common/contracts/module/suggest.ts';
import { own } from '../../common/contracts/own.ts';
import type { Plan, PlanModule } from '../../common/contracts/plans.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { criticalPath } from './critical-path.ts';
import type { ParentVm } from './disks.ts';
import type { Catalog, Facts } from './facts.ts';
import { type Finding, planningError, problemOf } from './findings.ts';
import { layerKey } from './layer-key.ts';
import { planLayer } from './layer-plan.ts';
import { type ClusterLimits, limitFindings } from './limits.ts';
import { parentsOf } from './parents.ts';
import { phaseJobs, snapshotJobIds } from './phase-jobs.ts';
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
   * differ, so they must be two layers, also to what is built on them later.
   */
  readonly nonce?: string;
  readonly options?: GraphOptions;
}

export interface GraphOptions {
  /** Builds every module, whatever there is. */
  readonly noCache?: boolean;
  /** Names of modules to build whatever there is. Their keys do not change, so their dependents may still be reused. */
  readonly rebuild?: readonly string[];
  /** Without them nothing exceeds limits. */
  readonly limits?: ClusterLimits;
  /** `warning` when no farm was asked: the module may be there, and every key below it is provisional. Default: error. */
  readonly unknownParents?: 'error' | 'warning';
}

/** What is to be done about one module of the submission. */
export interface LayerPlan {
  /**
   * What to build. `sshPassword` in it is in the open: seal it before it is stored. Null below an unknown parent, which
   * is only possible where `unknownParents` is `warning`.
   */
  readonly spec: LayerSpec | null;
  readonly layerKey: string;
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
 * table: GraphCycle, UnknownModule, ExceedsLimits, NotYetSupported, else InvalidModule; InvalidRequest when `rebuild`
 * names a module that is not among them.
 */
export function expandGraph(input: GraphInput): GraphPlan {
  const { plan, layers, problems } = surveyGraph(input);
  if (problems.some((problem) => problem.severity === 'error')) throw planningError(problems);
  return { plan, layers };
}

/** As `expandGraph`, but returns what is wrong instead of throwing; the plan is whole only without errors. */
export function surveyGraph(input: GraphInput): GraphSurvey {
  const { catalog, options: { unknownParents = 'error', rebuild = [] } = {} } = input;
  checkRebuild(rebuild, input.modules);
  const resolved = resolveReferences(input.modules, { catalog, unknownParents });
  const survey: Survey = { input, problems: [...resolved.problems], planned: new Map(), builders: new Map() };
  const entries = resolved.modules.map((module) => planModule(module, survey));
  const modules = entries.map(({ row }) => row);
  const jobs = modules.flatMap((module) => module.jobs);
  return {
    plan: {
      modules,
      criticalPath: criticalPath(jobs),
      totals: { modules: modules.length, jobs: jobs.length },
      warnings: survey.problems.filter(({ severity }) => severity === 'warning').map(({ message }) => message),
    },
    layers: Object.fromEntries(entries.map(({ row, layer }) => [row.name, layer])),
    problems: survey.problems,
  };
}

interface Survey {
  readonly input: GraphInput;
  readonly problems: Problem[];
  /** The modules planned so far, by name; parents come before their children. */
  readonly planned: Map<string, PlannedModule>;
  /** Which module of the plan builds a layerKey: a second one with the same key joins it. */
  readonly builders: Map<string, CompiledModule>;
}

interface PlannedModule {
  readonly row: PlanModule;
  readonly layer: LayerPlan;
  /** What other modules can start from, by name of the VM. */
  readonly offered: ReadonlyMap<string, ParentVm>;
}

function planModule(resolved: ResolvedModule, survey: Survey): PlannedModule {
  const { module } = resolved;
  const { facts, fingerprint, nonce, options } = survey.input;
  const parents = parentsOf(resolved, survey.planned);
  const { layerKey: key, unresolved } = layerKey(module, { facts, parents: parents.vms, fingerprint, nonce });
  const provisional = parents.provisional || unresolved.length > 0;
  const action = decide({ name: module.name, key, provisional }, survey);
  if (action === 'build') survey.builders.set(key, module);

  const { spec, offered, findings } = planLayer({ module, layerKey: key, facts, parents: parents.vms });
  const limits = action === 'build' ? limitFindings(spec.vms, options?.limits ?? {}) : [];
  report(module, { findings: [...findings, ...limits], unresolved }, survey.problems);
  const waitsFor = new Set(parents.modules.flatMap((name) => snapshotsOf(name, survey)));
  const jobs = action === 'build' ? phaseJobs(module, [...waitsFor]) : [];
  const planned: PlannedModule = {
    row: { name: module.name, layerKey: key, action, dependsOn: [...parents.modules], jobs },
    layer: { spec: parents.known ? spec : null, layerKey: key, provisional, action, parents: parents.layerKeys },
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
  throw new FarmError('InvalidRequest', `There is no module "${wrong}" to rebuild${didYouMean(wrong, [...names])}`);
}

interface Candidate {
  readonly name: string;
  readonly key: string;
  readonly provisional: boolean;
}

function decide({ name, key, provisional }: Candidate, { input, builders }: Survey): Action {
  const { catalog, options = {} } = input;
  if (builders.has(key)) return 'join';
  if (provisional || options.noCache || options.rebuild?.includes(name)) return 'build';
  if (own(catalog.layers, key)) return 'reuse';
  return catalog.building.has(key) ? 'join' : 'build';
}

/** The snapshot jobs in this plan that make the layer of a module; none when the plan does not build it. */
function snapshotsOf(name: string, { planned, builders }: Survey): string[] {
  const builder = builders.get(planned.get(name)?.row.layerKey ?? '');
  return builder ? snapshotJobIds(builder) : [];
}

interface Found {
  readonly findings: readonly Finding[];
  readonly unresolved: readonly string[];
}

function report(module: CompiledModule, { findings, unresolved }: Found, problems: Problem[]): void {
  for (const problem of notYetSupported(module)) problems.push({ ...problem, severity: 'error' });
  for (const finding of findings) problems.push(problemOf(module, finding));
  for (const url of unresolved) {
    const message = `the identity of ${url} is not resolved; layerKey is provisional`;
    problems.push(problemOf(module, { code: 'Provisional', message }, 'warning'));
  }
}
