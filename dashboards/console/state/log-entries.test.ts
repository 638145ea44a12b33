import { expect, test } from 'vitest';
import type { FarmEvent, StoredEvent } from '../../../common/contracts/events.ts';
import { addToLog, type BuildLog, EMPTY_LOG } from './build-log.ts';
import { entriesOf, hitsOf, type LogEntry, type LogWish, linesOf, logText, partsOf } from './log-entries.ts';

const START_MS = Date.parse('2026-01-01T00:00:00.000Z');
const EVERYTHING: LogWish = { machine: null, part: null, search: '' };
const base = { module: 'base', vm: 'vm' };
const other = { module: 'other', vm: 'vm' };

/** Events one second after the other. */
function logOf(...events: FarmEvent[]): BuildLog {
  const stored = events.map((event, index): StoredEvent => {
    const time = new Date(START_MS + index * 1_000).toISOString();
    return { ...event, time, id: `${index + 1}-0` };
  });
  return addToLog(EMPTY_LOG, stored);
}

const phase = (name: 'import' | 'provision', where = base): FarmEvent => {
  return { event: 'phase-started', ...where, phase: name, attempt: 1, worker: 'w' };
};
const phaseEnd = (name: 'import' | 'provision', outcome: 'succeeded' | 'failed' = 'succeeded'): FarmEvent => {
  return { event: 'phase-finished', ...base, phase: name, outcome, durationMs: 1 };
};
const step = (index: number, name: string | null, attempt?: number): FarmEvent => {
  const again = attempt === undefined ? {} : { attempt };
  return { event: 'step-started', ...base, step: index, name, type: 'shell', ...again };
};
const stepEnd = (index: number, name: string | null, outcome: 'succeeded' | 'failed', attempt?: number): FarmEvent => {
  const again = attempt === undefined ? {} : { attempt };
  const about = { step: index, name, type: 'shell', exitCode: null, durationMs: 1, ...again };
  return { event: 'step-finished', ...base, ...about, outcome };
};
const say = (line: string, source = 'step', where = base): FarmEvent => {
  return { event: 'log', ...where, phase: source === 'import' ? 'import' : 'provision', source, line };
};

/** Headings as `# machine/part state`, lines as they are. */
function shown(entries: readonly LogEntry[]): string[] {
  return entries.map((entry) => {
    if (entry.kind === 'line') return entry.line.text;
    return `# ${entry.machine}/${entry.id} ${entry.part ? (entry.part.outcome ?? 'running') : 'unknown'}`;
  });
}

function entries(log: BuildLog, wish: Partial<LogWish> = {}) {
  const whole = { ...EVERYTHING, ...wish };
  return entriesOf(log, whole, { lines: hitsOf(linesOf(log, whole), whole.search), isCut: false });
}

const WALK = logOf(
  phase('import'),
  say('fetching', 'import'),
  phaseEnd('import'),
  phase('provision'),
  step(0, 'a name, with $igns'),
  say('one'),
  stepEnd(0, 'a name, with $igns', 'succeeded'),
  step(1, null),
  stepEnd(1, null, 'failed'),
  step(1, null, 1),
  phase('provision', other),
  say('elsewhere', 'step', other),
  say('mended (1.5)'),
  say('a line of the farm', 'farm'),
  say('more'),
);

test('heads each phase, each step and each run of it, with its state, also without output', () => {
  expect(shown(entries(WALK))).toEqual(
    [
      '# base/import succeeded',
      'fetching',
      '# base/provision running',
      '# base/01-a-name-with-igns succeeded',
      'one',
      '# base/02-shell failed',
      '# base/02-shell-again-1 running',
      '# other/provision running',
      'elsewhere',
      'mended (1.5)',
      '# base/provision running',
      'a line of the farm',
      '# base/02-shell-again-1 running',
      'more',
    ].map((text) => text.replace(/^# (base|other)\//, '# $1/vm/')),
  );
  expect(new Set(entries(WALK).flatMap((entry) => (entry.kind === 'heading' ? [entry.key] : []))).size).toBe(8);
});

test.each([
  ['one step', '01-a-name-with-igns', ['# base/vm/01-a-name-with-igns succeeded', 'one']],
  [
    'all runs of a step',
    '02-shell',
    ['# base/vm/02-shell failed', '# base/vm/02-shell-again-1 running', 'mended (1.5)', 'more'],
  ],
  ['an unknown part', '07-none', []],
])('shows %s', (_, part, expected) => {
  expect(shown(entries(WALK, { machine: 'base/vm', part }))).toEqual(expected);
});

test('shows a phase with its steps, and the lines of another machine not', () => {
  const texts = shown(entries(WALK, { machine: 'base/vm', part: 'provision' }));
  expect(texts.filter((text) => !text.startsWith('#'))).toEqual(['one', 'mended (1.5)', 'a line of the farm', 'more']);
  expect(texts.join()).not.toMatch(/import|other/);
});

test('finds a text in any case, none of it as a pattern, and keeps the headings of hits only', () => {
  expect(shown(entries(WALK, { search: 'MENDED (1.' }))).toEqual([
    '# base/vm/02-shell-again-1 running',
    'mended (1.5)',
  ]);
  expect(shown(entries(WALK, { search: 'mended (15' }))).toEqual([]);
  expect(shown(entries(WALK, { search: 'o|m' }))).toEqual([]);
});

test('lists the parts of a machine in the order of their starts', () => {
  expect(partsOf(WALK, 'base/vm').map(({ title }) => title)).toEqual([
    'import',
    'provision',
    '1. a name, with $igns',
    '2. shell',
    '2. shell (again, 1)',
  ]);
});

test('heads nothing that began before lines that are left out', () => {
  const lines = WALK.lines.slice(-2);
  expect(shown(entriesOf(WALK, EVERYTHING, { lines, isCut: true }))).toEqual([
    '# base/vm/provision running',
    'a line of the farm',
    '# base/vm/02-shell-again-1 running',
    'more',
  ]);
});

test('heads lines whose start is gone with what their phase is called', () => {
  expect(shown(entries(logOf(say('late'))))).toEqual(['# base/vm/provision unknown', 'late']);
});

test('a step ends with its module, and with the worker that is lost', () => {
  const cancel: FarmEvent = {
    event: 'module-finished',
    module: 'base',
    action: 'build',
    outcome: 'cancelled',
    durationMs: 1,
    images: [],
  };
  const cancelled = logOf(phase('provision'), step(0, 'x'), cancel);
  expect(partsOf(cancelled, null).map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled']);
  const lost = logOf(phase('provision'), step(0, 'x'), phase('provision'));
  expect(partsOf(lost, null).map(({ outcome }) => outcome)).toEqual([null, 'requeue']);
});

test('is saved with times in front, machines where there are several', () => {
  const log = logOf(phase('import'), say('fetching', 'import'), phaseEnd('import'));
  const now = START_MS + 9_000;
  const heading = '2026-01-01T00:00:00.000Z == base/vm import (succeeded, 2.0 s)\n';
  expect(logText(entries(log), { machine: null, now })).toBe(`${heading}2026-01-01T00:00:01.000Z base/vm fetching\n`);
  expect(logText(entries(log, { machine: 'base/vm' }), { machine: 'base/vm', now })).toBe(
    `${heading}2026-01-01T00:00:01.000Z fetching\n`,
  );
});
