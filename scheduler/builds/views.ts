import type {
  BuildState,
  BuildSummary,
  BuildView,
  ModuleView,
  PhaseView,
  StepView,
  VmView,
  WaitingView,
} from '../../common/contracts/builds.ts';
import { farmEventSchema } from '../../common/contracts/events.ts';
import type { CompiledVm } from '../../common/contracts/module/compiled.ts';
import type { Phase } from '../../common/contracts/phases.ts';
import type { PlanJob } from '../../common/contracts/plans.ts';
import type { BuildModule, StoredBuild, StoredWork } from '../../common/redis/builds.ts';
import { attemptPlace } from '../../common/redis/handbuilds.ts';
import { criticalPath } from '../graph/critical-path.ts';
import { phaseJobs, phasesOf, snapshotJobIds } from '../graph/phase-jobs.ts';

/**
 * Row of a list. Modules that have not ended are as far as their build, unless a step of theirs waits for a person:
 * `waiting` are the layer builds of which one does.
 */
export function buildSummary(build: StoredBuild, waiting: ReadonlySet<string>): BuildSummary {
  const { id, state, createdAt, finishedAt, submittedBy, run, modules, results } = build;
  const states = modules.map(({ name, layerBuild = '' }) => {
    const result = results.get(name);
    if (result?.failure?.reason === 'ParentFailed') return { name, state: 'skipped' as const };
    if (!result && waiting.has(layerBuild)) return { name, state: 'waits for you' as const };
    return { name, state: result?.outcome ?? state };
  });
  return { buildId: id, state, createdAt, finishedAt, submittedBy, run, modules: states };
}

/** A build with all of its works; a work that was forgotten leaves its module without VMs. */
export function buildView(build: StoredBuild, works: ReadonlyMap<string, StoredWork>, lastEventId: string): BuildView {
  const { id, state, createdAt, finishedAt, submittedBy, run, modules } = build;
  const views = modules.map((module) => moduleView(build, module, works.get(module.layerBuild ?? '')));
  const path = criticalPath(jobsOf(modules, works));
  const about = { buildId: id, state, createdAt, finishedAt, submittedBy, run };
  return { ...about, modules: views, criticalPath: path, lastEventId };
}

/** The jobs of what is built or joined, under the names that the build knows the modules by; parents come first. */
function jobsOf(modules: readonly BuildModule[], works: ReadonlyMap<string, StoredWork>): PlanJob[] {
  const snapshots = new Map<string, readonly string[]>();
  return modules.flatMap(({ name, layerBuild, dependsOn }) => {
    const work = works.get(layerBuild ?? '');
    if (!work) return [];
    const module = { ...work.spec.module, name };
    snapshots.set(name, snapshotJobIds(module));
    return phaseJobs(
      module,
      namesIn(dependsOn).flatMap((parent) => snapshots.get(parent) ?? []),
    );
  });
}

function moduleView(build: StoredBuild, module: BuildModule, work: StoredWork | undefined): ModuleView {
  const { name, layerKey, action, why, dependsOn } = module;
  const result = build.results.get(name);
  return {
    name,
    layerKey,
    action,
    why,
    state: result?.outcome ?? workState(work),
    layerBuild: module.layerBuild ?? null,
    generation: work?.generation ?? null,
    cluster: work?.cluster ?? result?.images[0]?.cluster ?? null,
    dependsOn: namesIn(dependsOn),
    vms: work ? work.spec.module.vms.map((vm) => vmView(build, { work, vm, endedAt: endOf(build, name, work) })) : [],
    images: result?.images ?? [],
    failure: result?.failure ?? null,
  };
}

function namesIn(dependsOn: string): string[] {
  return dependsOn.split(' ').filter((name) => name !== '');
}

function workState(work: StoredWork | undefined): BuildState {
  if (!work) return 'queued';
  return work.state === 'stopping' ? 'running' : work.state;
}

/** When a module of a build has ended; null before. Its work may go on for others, or have yet to let go. */
function endOf(build: StoredBuild, name: string, work: StoredWork): number | null {
  return build.results.has(name) ? (work.finishedAt ?? build.finishedAt ?? 0) : null;
}

interface VmOfWork {
  readonly work: StoredWork;
  readonly vm: CompiledVm;
  /** When the module has ended for the build. */
  readonly endedAt: number | null;
}

function vmView(build: StoredBuild, { work, vm, endedAt }: VmOfWork): VmView {
  const path = `/api/v1/builds/${build.id}/vms/${encodeURIComponent(vm.name)}/screenshot?layerBuild=${work.id}`;
  const phases = phasesOf(work.spec.module).map((phase) => phaseView(work, `${vm.name}/${phase}`, { phase, endedAt }));
  const provision = phases.find(({ phase }) => phase === 'provision');
  return {
    vm: vm.name,
    phases,
    steps: vm.steps.map((step, index) => {
      const view = stepView(work, vm.name, { index, name: step.name, type: step.type });
      return provision ? endedWith(view, provision) : view;
    }),
    handbuild: handbuildView(work, vm.name),
    failure: work.failures.get(vm.name) ?? null,
    screenshot: work.screens.has(vm.name) ? path : null,
  };
}

/** A phase as the build sees it: what its module's end left undone is `skipped`, and what that broke off `cancelled`. */
function phaseView(
  work: StoredWork,
  field: string,
  { phase, endedAt }: { readonly phase: Phase; readonly endedAt: number | null },
): PhaseView {
  const record = work.phases.get(field);
  const startedAt = record?.startedAt ?? null;
  const view: PhaseView = {
    phase,
    state: record?.state ?? 'waiting',
    attempts: record?.attempts ?? 0,
    startedAt,
    finishedAt: record?.finishedAt ?? null,
    worker: record?.worker ?? null,
    waiting: record?.state === 'running' ? waitingView(work, field, startedAt ?? 0) : null,
  };
  const isOpen = ['waiting', 'ready', 'queued', 'running'].includes(view.state);
  if (startedAt === null && (view.state === 'cancelled' || (endedAt !== null && isOpen))) {
    return { ...view, state: 'skipped' };
  }
  if (endedAt === null || !isOpen) return view;
  return { ...view, state: 'cancelled', finishedAt: view.finishedAt ?? endedAt, waiting: null };
}

/** A step whose phase is over has ended with it, or was never reached. */
function endedWith(step: StepView, { state, finishedAt }: PhaseView): StepView {
  if (state !== 'failed' && state !== 'cancelled' && state !== 'skipped') return step;
  if (step.state === 'waiting') return { ...step, state: 'skipped' };
  if (step.state !== 'running') return step;
  return { ...step, state: state === 'failed' ? 'failed' : 'cancelled', finishedAt };
}

/** The last report of the phase, unless the phase was restarted since, or is over. */
function waitingView({ steps }: StoredWork, phase: string, startedAt: number): WaitingView | null {
  const stored = steps.get(`${phase}/phase-waiting`);
  if (!stored || stored.at < startedAt) return null;
  const told = farmEventSchema.parse(stored.event);
  if (told.event !== 'phase-waiting' || told.error === null) return null;
  const { what, error, tries, elapsedMs, leftMs } = told;
  return { what, error, tries, since: stored.at - elapsedMs, deadline: stored.at + leftMs };
}

/** The step that waits for a person, if one does: it has been told of, and neither continued nor ended. */
function handbuildView(work: StoredWork, vm: string): VmView['handbuild'] {
  if (work.state !== 'running') return null;
  for (const [field, { at, event }] of work.steps) {
    if (!field.startsWith(`${vm}/`) || !field.endsWith('/handbuild-waiting')) continue;
    const told = farmEventSchema.parse(event);
    if (told.event !== 'handbuild-waiting') continue;
    const { step, name, instructions, kept = null } = told;
    const place = field.slice(vm.length + 1, -'/handbuild-waiting'.length);
    const isOver =
      work.steps.has(`${vm}/${place}/handbuild-continued`) ||
      (kept === null && work.steps.has(`${vm}/${step}/step-finished`));
    if (!isOver) return { step, name, instructions, since: at, kept };
  }
  return null;
}

function stepView(work: StoredWork, vm: string, step: Pick<StepView, 'index' | 'name' | 'type'>): StepView {
  let attempt = 0;
  while (work.steps.has(`${vm}/${attemptPlace(step.index, attempt + 1)}/step-started`)) attempt += 1;
  const place = `${vm}/${attemptPlace(step.index, attempt)}`;
  const started = work.steps.get(`${place}/step-started`);
  const finished = work.steps.get(`${place}/step-finished`);
  const event = finished && farmEventSchema.parse(finished.event);
  const end = event?.event === 'step-finished' ? event : undefined;
  return {
    ...step,
    state: end?.outcome ?? (started ? 'running' : 'waiting'),
    startedAt: started?.at ?? null,
    finishedAt: finished?.at ?? null,
    exitCode: end?.exitCode ?? null,
  };
}
