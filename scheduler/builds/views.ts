import type {
  BuildState,
  BuildSummary,
  BuildView,
  ModuleView,
  PhaseView,
  StepView,
  VmView,
} from '../../common/contracts/builds.ts';
import { farmEventSchema } from '../../common/contracts/events.ts';
import type { CompiledVm } from '../../common/contracts/module/compiled.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import type { PlanJob } from '../../common/contracts/plans.ts';
import type { BuildModule, StoredBuild, StoredWork } from '../../common/redis/builds.ts';
import { criticalPath } from '../graph/critical-path.ts';
import { phaseJobs, snapshotJobIds } from '../graph/phase-jobs.ts';

/** Row of a list. Modules that have not ended are as far as their build. */
export function buildSummary({ id, state, createdAt, finishedAt, modules, results }: StoredBuild): BuildSummary {
  const states = modules.map(({ name }) => ({ name, state: results.get(name)?.outcome ?? state }));
  return { buildId: id, state, createdAt, finishedAt, modules: states };
}

/** A build with all of its works; a work that was forgotten leaves its module without VMs. */
export function buildView(build: StoredBuild, works: ReadonlyMap<string, StoredWork>, lastEventId: string): BuildView {
  const { id, state, createdAt, finishedAt, modules } = build;
  const views = modules.map((module) => moduleView(build, module, works.get(module.layerBuild ?? '')));
  const path = criticalPath(jobsOf(modules, works));
  return { buildId: id, state, createdAt, finishedAt, modules: views, criticalPath: path, lastEventId };
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
    vms: work ? work.spec.module.vms.map((vm) => vmView(build, work, vm)) : [],
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

function vmView(build: StoredBuild, work: StoredWork, vm: CompiledVm): VmView {
  const path = `/api/v1/builds/${build.id}/vms/${encodeURIComponent(vm.name)}/screenshot?layerBuild=${work.id}`;
  return {
    vm: vm.name,
    phases: PHASES.map((phase): PhaseView => {
      const record = work.phases.get(`${vm.name}/${phase}`);
      return {
        phase,
        state: record?.state ?? 'waiting',
        attempts: record?.attempts ?? 0,
        startedAt: record?.startedAt ?? null,
        finishedAt: record?.finishedAt ?? null,
        worker: record?.worker ?? null,
      };
    }),
    steps: vm.steps.map((step, index) => stepView(work, vm.name, { index, name: step.name, type: step.type })),
    handbuild: handbuildView(work, vm.name),
    failure: work.failures.get(vm.name) ?? null,
    screenshot: work.screens.has(vm.name) ? path : null,
  };
}

/** The step that waits for a person, if one does: it has been told of, and neither continued nor ended. */
function handbuildView(work: StoredWork, vm: string): VmView['handbuild'] {
  if (work.state !== 'running') return null;
  for (const [field, { at, event }] of work.steps) {
    if (!field.startsWith(`${vm}/`) || !field.endsWith('/handbuild-waiting')) continue;
    const told = farmEventSchema.parse(event);
    if (told.event !== 'handbuild-waiting') continue;
    const isOver = ['handbuild-continued', 'step-finished'].some((end) => work.steps.has(`${vm}/${told.step}/${end}`));
    if (!isOver) return { step: told.step, name: told.name, instructions: told.instructions, since: at };
  }
  return null;
}

function stepView(work: StoredWork, vm: string, step: Pick<StepView, 'index' | 'name' | 'type'>): StepView {
  const started = work.steps.get(`${vm}/${step.index}/step-started`);
  const finished = work.steps.get(`${vm}/${step.index}/step-finished`);
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
