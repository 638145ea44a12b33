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
import type { BuildModule, StoredBuild } from '../../common/redis/builds.ts';
import { attemptPlace } from '../../common/redis/handbuilds.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { phasesOf } from '../graph/phase-jobs.ts';

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

/**
 * A build with those of its modules that were read, and their layer builds; one that was forgotten leaves its module without VMs.
 * `next`: where the page of modules after these begins.
 */
export function buildView(
  build: StoredBuild,
  layerBuilds: ReadonlyMap<string, StoredLayerBuild>,
  { lastEventId = '0', next = null }: { readonly lastEventId?: string; readonly next?: number | null } = {},
): BuildView {
  const { id, state, createdAt, finishedAt, submittedBy, run, counts, criticalPath, modules } = build;
  const about = { buildId: id, state, createdAt, finishedAt, submittedBy, run, counts };
  return {
    ...about,
    modules: modules.map((module) => moduleView(build, module, layerBuilds.get(module.layerBuild ?? ''))),
    nextCursor: next === null ? null : String(next),
    criticalPath: [...criticalPath],
    lastEventId,
  };
}

function moduleView(build: StoredBuild, module: BuildModule, stored: StoredLayerBuild | undefined): ModuleView {
  const { name, layerKey, action, why, dependsOn } = module;
  const result = build.results.get(name);
  return {
    name,
    layerKey,
    action,
    why,
    state: result?.outcome ?? layerBuildState(stored),
    layerBuild: module.layerBuild ?? null,
    generation: stored?.generation ?? null,
    cluster: stored?.cluster ?? result?.images[0]?.cluster ?? null,
    dependsOn: namesIn(dependsOn),
    vms: stored
      ? stored.spec.module.vms.map((vm) => vmView(build, { stored, vm, endedAt: endOf(build, name, stored) }))
      : [],
    images: result?.images ?? [],
    failure: result?.failure ?? null,
  };
}

function namesIn(dependsOn: string): string[] {
  return dependsOn.split(' ').filter((name) => name !== '');
}

function layerBuildState(stored: StoredLayerBuild | undefined): BuildState {
  if (!stored) return 'queued';
  return stored.state === 'stopping' ? 'running' : stored.state;
}

/** When a module of a build has ended; null before. Its layer build may continue for others, or have yet to let go. */
function endOf(build: StoredBuild, name: string, stored: StoredLayerBuild): number | null {
  return build.results.has(name) ? (stored.finishedAt ?? build.finishedAt ?? 0) : null;
}

interface VmOfLayerBuild {
  readonly stored: StoredLayerBuild;
  readonly vm: CompiledVm;
  /** When the module has ended for the build. */
  readonly endedAt: number | null;
}

function vmView(build: StoredBuild, { stored, vm, endedAt }: VmOfLayerBuild): VmView {
  const path = `/api/v1/builds/${build.id}/vms/${encodeURIComponent(vm.name)}/screenshot?layerBuild=${stored.id}`;
  const phases = phasesOf(stored.spec.module).map((phase) =>
    phaseView(stored, `${vm.name}/${phase}`, { phase, endedAt }),
  );
  const provision = phases.find(({ phase }) => phase === 'provision');
  return {
    vm: vm.name,
    phases,
    steps: vm.steps.map((step, index) => {
      const view = stepView(stored, vm.name, { index, name: step.name, type: step.type });
      return provision ? endedWith(view, provision) : view;
    }),
    handbuild: handbuildView(stored, vm.name),
    failure: stored.failures.get(vm.name) ?? null,
    screenshot: stored.screens.has(vm.name) ? path : null,
  };
}

/** A phase as the build sees it: unstarted ones at the end of their module are `skipped`, interrupted ones `cancelled`. */
function phaseView(
  stored: StoredLayerBuild,
  field: string,
  { phase, endedAt }: { readonly phase: Phase; readonly endedAt: number | null },
): PhaseView {
  const record = stored.phases.get(field);
  const startedAt = record?.startedAt ?? null;
  const view: PhaseView = {
    phase,
    state: record?.state ?? 'waiting',
    attempts: record?.attempts ?? 0,
    startedAt,
    finishedAt: record?.finishedAt ?? null,
    worker: record?.worker ?? null,
    waiting: record?.state === 'running' ? waitingView(stored, field, startedAt ?? 0) : null,
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
function waitingView({ steps }: StoredLayerBuild, phase: string, startedAt: number): WaitingView | null {
  const stored = steps.get(`${phase}/phase-waiting`);
  if (!stored || stored.at < startedAt) return null;
  const parsed = farmEventSchema.parse(stored.event);
  if (parsed.event !== 'phase-waiting' || parsed.error === null) return null;
  const { what, error, tries, elapsedMs, leftMs } = parsed;
  return { what, error, tries, since: stored.at - elapsedMs, deadline: stored.at + leftMs };
}

/** The step that waits for a person, if one does: it was announced, and neither continued nor ended. */
function handbuildView(stored: StoredLayerBuild, vm: string): VmView['handbuild'] {
  if (stored.state !== 'running') return null;
  for (const [field, { at, event }] of stored.steps) {
    if (!field.startsWith(`${vm}/`) || !field.endsWith('/handbuild-waiting')) continue;
    const parsed = farmEventSchema.parse(event);
    if (parsed.event !== 'handbuild-waiting') continue;
    const { step, name, instructions, kept = null } = parsed;
    const place = field.slice(vm.length + 1, -'/handbuild-waiting'.length);
    const isOver =
      stored.steps.has(`${vm}/${place}/handbuild-continued`) ||
      (kept === null && stored.steps.has(`${vm}/${step}/step-finished`));
    if (!isOver) return { step, name, instructions, since: at, kept };
  }
  return null;
}

function stepView(stored: StoredLayerBuild, vm: string, step: Pick<StepView, 'index' | 'name' | 'type'>): StepView {
  let attempt = 0;
  while (stored.steps.has(`${vm}/${attemptPlace(step.index, attempt + 1)}/step-started`)) attempt += 1;
  const place = `${vm}/${attemptPlace(step.index, attempt)}`;
  const started = stored.steps.get(`${place}/step-started`);
  const finished = stored.steps.get(`${place}/step-finished`);
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
