import { expect, test } from 'vitest';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { type JudgedBuild, judgeBuild } from './judge-build.ts';
import { planActions } from './plan.ts';

const at = { module: 'left', vm: 'vm' };
const phase = (name: string, event: 'phase-started' | 'phase-finished') => ({
  event,
  ...at,
  phase: name,
  outcome: 'succeeded',
});
const step = (index: number) => ({ event: 'step-started', ...at, step: index });
const journal = (line: string) => ({ event: 'log', ...at, source: 'step', line: `journal: ${line}` });
const end = { event: 'module-finished', module: 'left', outcome: 'succeeded', action: 'build' };
const imported = [phase('import', 'phase-started'), phase('import', 'phase-finished')];
const ran = [step(0), step(1), ...['base-r1', 'base-two', 'left'].map(journal)];

function judge(
  events: readonly object[],
  change: Partial<JudgedBuild> = {},
  crashed: readonly string[] = [],
): string[] {
  const layerBuilds = new Map([['left', 'a']]);
  const build = { id: 'b', round: 'r1', layerBuilds, events: events as StoredEvent[], isCancelled: false, endings: 0 };
  return judgeBuild({ ...build, outcome: 'succeeded', ...change }, new Set(crashed));
}

test('a build that did everything once is right, and one that was shaken for as many generations as machines were ended', () => {
  expect(judge([...imported, ...ran, end])).toEqual([]);
  const again = [...imported, step(0), ...imported, ...ran, end];
  expect(judge(again)).toEqual(['build b: left: it had 2 generations, though 0 machines were ended.']);
  expect(judge(again, {}, ['a'])).toEqual([]);
  expect(judge(again, { endings: 1 })).toEqual([]);
});

test('a build that joined after the imports knows a second generation by its imports', () => {
  const joined = [phase('boot-keystrokes', 'phase-started'), phase('boot-keystrokes', 'phase-finished'), step(0)];
  const again = [...joined, ...imported, ...joined.slice(0, 2), ...ran];
  expect(judge(again, { endings: 1 })).toEqual([]);
  expect(judge(again)).toEqual(['build b: left: it had 2 generations, though 0 machines were ended.']);
});

test.each([
  [
    'a step that was reported twice',
    [...imported, step(0), ...ran, end],
    'left: vm: step 1 started twice in generation 1.',
  ],
  [
    'a phase that succeeded twice',
    [...imported, phase('import', 'phase-finished'), ...ran, end],
    'left: vm: import succeeded twice in generation 1.',
  ],
  [
    'a step that ran twice in the guest',
    [...imported, ...ran, journal('left'), end],
    'left: the journal of vm is "base-r1,base-two,left,left" instead of "base-r1,base-two,left".',
  ],
  [
    'an image without a journal',
    [...imported, end],
    'left: the journal of vm is "" instead of "base-r1,base-two,left".',
  ],
  [
    'words of the machinery',
    [...imported, ...ran, { event: 'phase-waiting', ...at, error: 'Connection is closed.' }, end],
    'it shows "Connection is closed."',
  ],
])('finds %s', (_what, events, wrong) => {
  expect(judge(events)).toEqual([`build b: ${wrong}`]);
});

test.each([
  [{ outcome: 'failed' }, 'it failed.'],
  [{ outcome: 'cancelled' }, 'it cancelled.'],
  [{ outcome: null }, 'it has not ended.'],
])('a build that was not cancelled has to succeed: %j', (change, wrong) => {
  expect(judge([], change)).toEqual([`build b: ${wrong}`]);
  expect(judge([], { ...change, isCancelled: true })).toEqual(
    change.outcome === 'cancelled' ? [] : [`build b: ${wrong}`],
  );
});

test('a seed decides what is done, in which order and how', () => {
  const names = ['a', 'b', 'c', 'd'];
  const first = (seed: number) => {
    const actions = planActions(names, seed);
    return Array.from({ length: 8 }, () => actions.next().value).map(({ name, pauseMs, random }) => [
      name,
      pauseMs,
      random(),
    ]);
  };
  expect(first(7)).toEqual(first(7));
  expect(first(8)).not.toEqual(first(7));
  expect(
    first(7)
      .slice(0, 4)
      .map(([name]) => name)
      .toSorted(),
  ).toEqual(names);
});
