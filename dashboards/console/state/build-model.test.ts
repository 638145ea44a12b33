import { expect, test } from 'vitest';
import type { BuildView, VmView } from '../../../common/contracts/builds.ts';
import type { FarmEvent, StoredEvent } from '../../../common/contracts/events.ts';
import { PHASES } from '../../../common/contracts/phases.ts';
import { allAttempts } from './attempts.ts';
import { applyEvents, openBuild, refreshView } from './build-model.ts';

const START_MS = Date.parse('2026-01-01T00:00:00.000Z');
const where = { module: 'base', vm: 'vm' };

/** A view of one module with one VM of one step, before anything has started. */
function viewAt(lastEventId: string, vm: Partial<VmView> = {}): BuildView {
  const phases = PHASES.map((phase) => ({
    ...{
      phase,
      state: 'waiting' as const,
      attempts: 0,
      startedAt: null,
      finishedAt: null,
      worker: null,
      waiting: null,
    },
  }));
  const step = { index: 0, name: null, type: 'shell', state: 'waiting' as const };
  const steps = [{ ...step, startedAt: null, finishedAt: null, exitCode: null }];
  const machine = { vm: 'vm', phases, steps, handbuild: null, failure: null, screenshot: null, ...vm };
  const module = {
    name: 'base',
    layerKey: 'k',
    action: 'build' as const,
    why: '',
    state: 'queued' as const,
    layerBuild: 'w',
  };
  const rest = { generation: 1, cluster: 'lab', dependsOn: [], vms: [machine], images: [], failure: null };
  const modules = [{ ...module, ...rest }];
  const build = {
    buildId: 'b',
    state: 'queued' as const,
    createdAt: START_MS,
    finishedAt: null,
    submittedBy: null,
    run: null,
    counts: { all: 1, open: 1, succeeded: 0, failed: 0, cancelled: 0 },
    modules,
  };
  return { ...build, nextCursor: null, criticalPath: [], lastEventId };
}

/** Events one second after the other, the first with the id `1000-0`. */
function stream(...events: FarmEvent[]): StoredEvent[] {
  return events.map((event, index) => {
    const time = new Date(START_MS + (index + 1) * 1_000).toISOString();
    return { ...event, time, id: `${(index + 1) * 1_000}-0` };
  });
}

const started = (attempt = 1): FarmEvent => {
  return { event: 'phase-started', ...where, phase: 'import', attempt, worker: 'w1' };
};
const finished = (outcome: 'succeeded' | 'requeue' | 'failed'): FarmEvent => {
  const failure = { reason: 'StepFailed', message: 'no', screenshot: false } as const;
  const texts = { logTail: [], serialTail: [], hints: [], events: [] };
  const why = outcome === 'failed' ? { failure: { ...failure, ...texts } } : {};
  return { event: 'phase-finished', ...where, phase: 'import', outcome, durationMs: 1_000, ...why };
};
const waiting: FarmEvent = {
  ...{
    event: 'handbuild-waiting',
    ...where,
    step: 0,
    name: 'by hand',
    type: 'handbuild',
    instructions: 'Press\nAccept.',
  },
};
const log = (line: string): FarmEvent => ({ event: 'log', ...where, phase: 'import', source: 'import', line });

test('follows a phase, a step and a module to their ends', () => {
  const { view } = applyEvents(
    openBuild(viewAt('0')),
    stream(
      { event: 'module-started', module: 'base', action: 'build' },
      started(),
      finished('succeeded'),
      { event: 'step-started', ...where, step: 0, name: null, type: 'shell' },
      {
        event: 'step-finished',
        ...where,
        step: 0,
        name: null,
        type: 'shell',
        outcome: 'failed',
        exitCode: 3,
        durationMs: 1,
      },
      { event: 'module-finished', module: 'base', action: 'build', outcome: 'failed', durationMs: 1, images: [] },
      { event: 'build-finished', buildId: 'b', outcome: 'failed', durationMs: 1, modules: [] },
    ),
  );
  expect(view).toMatchObject({ state: 'failed', finishedAt: START_MS + 7_000, modules: [{ state: 'failed' }] });
  const [vm] = view.modules[0]?.vms ?? [];
  const times = { startedAt: START_MS + 2_000, finishedAt: START_MS + 3_000 };
  expect(vm?.phases[0]).toMatchObject({ state: 'succeeded', attempts: 1, worker: 'w1', ...times });
  expect(vm?.phases[1]).toMatchObject({ state: 'waiting', attempts: 0 });
  expect(vm?.steps).toMatchObject([{ state: 'failed', exitCode: 3 }]);
});

const handbuildAfter = (...events: FarmEvent[]) =>
  applyEvents(openBuild(viewAt('0')), stream(waiting, ...events)).view.modules[0]?.vms[0]?.handbuild;
const ended = (step: number): FarmEvent => {
  const about = { ...where, step, name: null, type: 'handbuild', exitCode: null, durationMs: 1 };
  return { event: 'step-finished', ...about, outcome: 'succeeded' };
};

test('knows since when a step waits for a person, and what is to be done', () => {
  const handbuild = { step: 0, name: 'by hand', instructions: 'Press\nAccept.', since: START_MS + 1_000, kept: null };
  expect(handbuildAfter()).toEqual(handbuild);
  // Another worker continues to wait.
  expect(handbuildAfter(finished('requeue'), started(2), ended(1))).toEqual(handbuild);
});

test.each<[string, FarmEvent]>([
  ['its step', ended(0)],
  ['its phase', finished('failed')],
  [
    'its module',
    { event: 'module-finished', module: 'base', action: 'build', outcome: 'cancelled', durationMs: 1, images: [] },
  ],
])('does not wait for a person after the end of %s', (_, end) => {
  expect(handbuildAfter(end)).toBeNull();
});

test('what a view knows already adds to the history and changes no state', () => {
  const events = stream(started(), log('one'), finished('failed'));
  const {
    view,
    attempts,
    log: { lines },
  } = applyEvents(openBuild(viewAt('3000-0')), events);
  expect(view).toEqual(viewAt('3000-0'));
  expect(attempts.get('base/vm')).toMatchObject([{ outcome: 'failed', failure: { reason: 'StepFailed' } }]);
  expect(lines).toMatchObject([{ text: 'one' }]);
});

test('events that come again change nothing', () => {
  const events = stream(started(), log('one'), finished('requeue'), started(2));
  const once = applyEvents(openBuild(viewAt('0')), events);
  expect(applyEvents(once, events)).toBe(once);
  expect(applyEvents(applyEvents(openBuild(viewAt('0')), events.slice(0, 3)), events)).toEqual(once);
  expect(once.attempts.get('base/vm')).toMatchObject([
    { number: 1, outcome: 'requeue', finishedAt: START_MS + 3_000 },
    { number: 2, outcome: null, finishedAt: null },
  ]);
});

test('is stale after what events only hint at, until a view knows it', () => {
  const model = applyEvents(openBuild(viewAt('0')), stream(started(), finished('succeeded'), log('later')));
  expect(model.isStale).toBe(true);
  expect(refreshView(model, viewAt('1000-0'))).toMatchObject({ isStale: true, view: model.view });
  // Lines that have come meanwhile do not change the state.
  const newer = viewAt('2000-0');
  expect(refreshView(model, newer)).toMatchObject({ isStale: false, view: newer });
  expect(applyEvents(openBuild(viewAt('0')), stream(log('a'))).isStale).toBe(false);
});

test('cleans lines, and lets the oldest go', () => {
  const many = stream(...Array.from({ length: 20_003 }, (_, index) => log(`\u001b[31m${index}`)));
  const { lines, droppedLines } = applyEvents(openBuild(viewAt('0')), many).log;
  expect([lines.length, lines[0]?.text, droppedLines]).toEqual([20_000, '3', 3]);
});

test('knows attempts of the view whose events are gone', () => {
  const phases = viewAt('0').modules[0]?.vms[0]?.phases ?? [];
  const [first, second, ...others] = phases.map((phase) => ({ ...phase, attempts: 2, startedAt: START_MS }));
  if (!first || !second) throw new Error('A VM has four phases.');
  const known = applyEvents(openBuild(viewAt('0')), stream(started())).attempts.get('base/vm') ?? [];
  const idle = others.map((phase) => ({ ...phase, startedAt: null }));
  const boot = { ...second, state: 'succeeded' as const, finishedAt: START_MS + 5 };
  expect(allAttempts(known, [first, boot, ...idle])).toMatchObject([
    { phase: 'boot-keystrokes', number: 2, outcome: 'succeeded', finishedAt: START_MS + 5 },
    { phase: 'import', number: 1, outcome: null },
  ]);
});

test('shows what a phase waits for until that is there', () => {
  const about = { event: 'phase-waiting', ...where, phase: 'import', what: 'SSH 10.0.2.2:22' } as const;
  const wait = { ...about, tries: 3, elapsedMs: 1_000, leftMs: 9_000 };
  const events = stream(started(), { ...wait, error: 'no route to host' }, { ...wait, error: null });
  const at = (count: number) =>
    applyEvents(openBuild(viewAt('0')), events.slice(0, count)).view.modules[0]?.vms[0]?.phases[0]?.waiting;
  const since = START_MS + 1_000;
  expect(at(2)).toEqual({ what: about.what, error: 'no route to host', tries: 3, since, deadline: since + 10_000 });
  expect(at(3)).toBeNull();
});

test('counts no phase on of a module that was cancelled', () => {
  const end = { event: 'module-finished', module: 'base', action: 'build', outcome: 'cancelled' } as const;
  const model = applyEvents(openBuild(viewAt('0')), stream(started(), { ...end, durationMs: 1, images: [] }));
  expect(model.attempts.get('base/vm')).toMatchObject([{ outcome: 'cancelled', finishedAt: START_MS + 2_000 }]);
});
