import { describeAttempt } from '../../../common/contracts/attempt.ts';
import type {
  BuildView,
  ModuleView,
  PhaseView,
  StepView,
  VmView,
  WaitingView,
} from '../../../common/contracts/builds.ts';
import type { StoredEvent } from '../../../common/contracts/events.ts';
import type { Failure } from '../../../common/contracts/failures.ts';
import type { Phase } from '../../../common/contracts/phases.ts';
import { addToLog, type BuildLog, EMPTY_LOG } from './build-log.ts';
import { isAfter } from './event-id.ts';
import { vmKey } from './vm-key.ts';

/** One go at a phase of a VM. Times are milliseconds since the Unix epoch. */
export interface Attempt {
  readonly phase: Phase;
  /** Counts from 1, over all generations. */
  readonly number: number;
  /** Why it was begun again, as `attemptWords`; empty for the first one. */
  readonly why: string;
  readonly startedAt: number;
  readonly finishedAt: number | null;
  /** Null while it runs. `requeue`: the farm tries again. */
  readonly outcome: 'succeeded' | 'failed' | 'cancelled' | 'requeue' | null;
  readonly failure: Failure | null;
  readonly worker: string | null;
}

/** A build as the page knows it: the last view, brought up to date by the events after it. */
export interface BuildModel {
  readonly view: BuildView;
  /** By `vmKey`, in the order of their starts. */
  readonly attempts: ReadonlyMap<string, readonly Attempt[]>;
  readonly log: BuildLog;
  readonly lastEventId: string;
  /** The last event that has changed the view. */
  readonly lastChangeId: string;
  /** Whether the build may have changed without an event. */
  readonly isStale: boolean;
}

export function openBuild(view: BuildView): BuildModel {
  return { view, attempts: new Map(), log: EMPTY_LOG, lastEventId: '0', lastChangeId: '0', isStale: false };
}

/** Takes a view that was read later, unless events are newer. */
export function refreshView(model: BuildModel, view: BuildView): BuildModel {
  if (isAfter(model.lastChangeId, view.lastEventId)) return { ...model, isStale: true };
  return { ...model, view, isStale: false };
}

/**
 * What events change. They come in order from the first one; those that were seen are passed over, and those that the view
 * knows add to the history and leave the view as it is.
 */
export function applyEvents(model: BuildModel, events: readonly StoredEvent[]): BuildModel {
  const fresh = events.filter(({ id }) => isAfter(id, model.lastEventId));
  const last = fresh.at(-1);
  if (!last) return model;
  const unknown = fresh.filter(({ id, event }) => event !== 'log' && isAfter(id, model.view.lastEventId));
  return {
    view: unknown.reduce(changeView, model.view),
    attempts: fresh.reduce(addAttempt, model.attempts),
    log: addToLog(model.log, fresh),
    lastEventId: last.id,
    lastChangeId: unknown.at(-1)?.id ?? model.lastChangeId,
    isStale: model.isStale || unknown.some(isHint),
  };
}

/** After these something may wait, have got room, or are in another generation. */
function isHint({ event }: StoredEvent): boolean {
  return event === 'phase-finished' || event.startsWith('module-') || event === 'build-finished';
}

type Attempts = BuildModel['attempts'];

function addAttempt(attempts: Attempts, event: StoredEvent): Attempts {
  if (event.event === 'module-finished') return endAttempts(attempts, event);
  if (event.event !== 'phase-started' && event.event !== 'phase-finished') return attempts;
  const key = vmKey(event.module, event.vm);
  const known = attempts.get(key) ?? [];
  const at = Date.parse(event.time);
  if (event.event === 'phase-started') {
    const { phase, attempt: number, worker } = event;
    const why = describeAttempt(event);
    const begun = { phase, number, why, worker, startedAt: at, finishedAt: null, outcome: null, failure: null };
    // The worker of the former one was lost: its end was not reported.
    const others = known.map((attempt) =>
      attempt.phase === phase && attempt.outcome === null
        ? { ...attempt, outcome: 'requeue' as const, finishedAt: at }
        : attempt,
    );
    return new Map(attempts).set(key, [...others, begun]);
  }
  const { phase, outcome, failure = null } = event;
  const index = known.findLastIndex((attempt) => attempt.phase === phase && attempt.outcome === null);
  const begun = known[index];
  // It began before the events that are kept.
  if (!begun) return attempts;
  return new Map(attempts).set(key, known.with(index, { ...begun, outcome, failure, finishedAt: at }));
}

/** A cancelled build gets no more events of phases that still run: they no longer count. */
function endAttempts(attempts: Attempts, { module, time }: Started<'module-finished'>): Attempts {
  const end = (attempt: Attempt): Attempt =>
    attempt.outcome === null ? { ...attempt, outcome: 'cancelled', finishedAt: Date.parse(time) } : attempt;
  return new Map([...attempts].map(([key, known]) => [key, key.startsWith(`${module}/`) ? known.map(end) : known]));
}

/** Whether this event of the step ends the task of the person. */
function isOverBy({ event }: StoredEvent, isKept: boolean): boolean {
  return event === (isKept ? 'step-started' : 'step-finished');
}

function changeView(view: BuildView, event: StoredEvent): BuildView {
  switch (event.event) {
    case 'module-started':
      return changeModule({ ...view, state: 'running' }, event.module, () => ({ state: 'running' }));
    case 'module-reused':
      return changeModule(view, event.module, () => ({ state: 'succeeded', images: event.images }));
    case 'phase-started':
    case 'phase-finished':
      return changeVm(view, event, ({ phases }) => ({
        phases: phases.map((phase) => (phase.phase === event.phase ? changePhase(phase, event) : phase)),
        ...('failure' in event && event.failure && event.outcome === 'failed' ? { failure: event.failure } : {}),
        // The worker that takes over a phase waits on.
        ...('outcome' in event && event.outcome !== 'requeue' ? { handbuild: null } : {}),
      }));
    case 'phase-waiting':
      return changeVm(view, event, ({ phases }) => ({
        phases: phases.map((phase) => (phase.phase === event.phase ? { ...phase, waiting: waitingOf(event) } : phase)),
      }));
    case 'handbuild-waiting': {
      const { step, name, instructions, time, kept = null } = event;
      const since = Date.parse(time);
      return changeVm(view, event, () => ({ handbuild: { step, name, instructions, since, kept } }));
    }
    case 'step-started':
    case 'step-finished':
      return changeVm(view, event, ({ steps, handbuild }) => ({
        steps: steps.map((step) => (step.index === event.step ? changeStep(step, event) : step)),
        // A step that is kept has ended, until it is tried again.
        handbuild: handbuild?.step === event.step && isOverBy(event, handbuild.kept !== null) ? null : handbuild,
      }));
    case 'module-finished': {
      const { outcome: state, images, failure = null } = event;
      return changeModule(view, event.module, ({ vms }) => ({
        ...{ state, images, failure },
        vms: vms.map((vm) => ({ ...vm, handbuild: null })),
      }));
    }
    case 'build-finished':
      return { ...view, state: event.outcome, finishedAt: Date.parse(event.time) };
    default:
      return view;
  }
}

type Started<E extends string> = Extract<StoredEvent, { event: E }>;

function changePhase(phase: PhaseView, event: Started<'phase-started'> | Started<'phase-finished'>): PhaseView {
  const at = Date.parse(event.time);
  if (event.event === 'phase-started') {
    const { attempt: attempts, worker } = event;
    return { ...phase, state: 'running', attempts, worker, startedAt: at, finishedAt: null, waiting: null };
  }
  const state = event.outcome === 'requeue' ? 'ready' : event.outcome;
  return { ...phase, state, finishedAt: at, waiting: null };
}

function waitingOf({ what, error, tries, elapsedMs, leftMs, time }: Started<'phase-waiting'>): WaitingView | null {
  const at = Date.parse(time);
  return error === null ? null : { what, error, tries, since: at - elapsedMs, deadline: at + leftMs };
}

function changeStep(step: StepView, event: Started<'step-started'> | Started<'step-finished'>): StepView {
  const at = Date.parse(event.time);
  if (event.event === 'step-started') return { ...step, state: 'running', startedAt: at, finishedAt: null };
  return { ...step, state: event.outcome, exitCode: event.exitCode, finishedAt: at };
}

function changeModule(view: BuildView, name: string, change: (module: ModuleView) => Partial<ModuleView>): BuildView {
  const modules = view.modules.map((module) => (module.name === name ? { ...module, ...change(module) } : module));
  return { ...view, modules };
}

interface Place {
  readonly module: string;
  readonly vm: string;
}

function changeVm(view: BuildView, place: Place, change: (vm: VmView) => Partial<VmView>): BuildView {
  return changeModule(view, place.module, ({ vms }) => ({
    vms: vms.map((vm) => (vm.vm === place.vm ? { ...vm, ...change(vm) } : vm)),
  }));
}
