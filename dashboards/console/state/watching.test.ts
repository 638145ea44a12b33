import { expect, test } from 'vitest';
import type { ModuleView, PhaseView, VmView } from '../../../common/contracts/builds.ts';
import { PHASES } from '../../../common/contracts/phases.ts';
import { isLeftToPeople, isTyping, isWatchable, machineStateOf, type Watching, watchingWords } from './watching.ts';

type State = PhaseView['state'];

/** A VM whose first phases are in these states, and whose others wait. */
function vmIn(...states: State[]): VmView {
  const phases = PHASES.map((phase, index): PhaseView => {
    const state = states[index] ?? 'waiting';
    const hasStarted = state === 'running' || state === 'succeeded' || state === 'failed';
    return {
      phase,
      state,
      attempts: 0,
      startedAt: hasStarted ? 1 : null,
      finishedAt: null,
      worker: null,
      waiting: null,
    };
  });
  return { vm: 'vm', phases, steps: [], handbuild: null, failure: null, screenshot: null };
}

test.each<[string, VmView]>([
  ['later', vmIn()],
  ['later', vmIn('running')],
  ['later', vmIn('succeeded', 'queued')],
  ['up', vmIn('succeeded', 'running')],
  ['up', vmIn('succeeded', 'succeeded', 'ready')],
  ['up', vmIn('succeeded', 'succeeded', 'succeeded', 'running')],
  ['gone', vmIn('succeeded', 'succeeded', 'succeeded', 'succeeded')],
  ['gone', vmIn('succeeded', 'failed')],
  ['gone', vmIn('cancelled', 'cancelled', 'cancelled', 'cancelled')],
])('the machine is %s', (machine, vm) => {
  expect(machineStateOf(vm)).toBe(machine);
});

test('only what is being made can be watched', () => {
  const module = { state: 'running', layerBuild: 'w' } as ModuleView;
  expect(isWatchable(module, vmIn('running'))).toBe(true);
  expect(isWatchable({ ...module, state: 'queued' }, vmIn())).toBe(true);
  expect(isWatchable(module, vmIn('succeeded', 'failed'))).toBe(false);
  expect(isWatchable({ ...module, state: 'failed' }, vmIn('running'))).toBe(false);
  expect(isWatchable({ ...module, layerBuild: null }, vmIn('running'))).toBe(false);
});

const OPEN: Watching = { machine: 'up', connection: 'open', isWaiting: true, mayAnswer: true };

test.each<[string, Partial<Watching>]>([
  ['Keyboard and mouse work.', {}],
  ['View only: keyboard and mouse work while a step waits', { isWaiting: false }],
  ['View only: the owner of the build and admins may type.', { mayAnswer: false }],
  ['The machine does not exist yet.', { machine: 'later' }],
  ['The machine is gone: its layer build has ended', { machine: 'gone', connection: 'cut' }],
  ['Connecting', { connection: 'opening' }],
  ['The connection to the screen was lost', { connection: 'cut' }],
  ['The viewer did not load.', { connection: 'unloaded' }],
])('shows: %s', (words, change) => {
  expect(watchingWords({ ...OPEN, ...change })).toContain(words);
});

test('the machine of a clone is left to people from its boot on, that of a build is not', () => {
  const up = vmIn('succeeded', 'succeeded');
  expect([isLeftToPeople(up, true), isLeftToPeople(up, false)]).toEqual([true, false]);
  expect(isLeftToPeople(vmIn('succeeded', 'running'), true)).toBe(false);
  expect(isLeftToPeople({ ...up, handbuild: { step: 0 } as unknown as VmView['handbuild'] }, false)).toBe(true);
});

test('keys go to an existing machine while it waits, from the owner of the build and admins', () => {
  const changes: Partial<Watching>[] = [{}, { isWaiting: false }, { mayAnswer: false }, { machine: 'later' }];
  expect(changes.map((change) => isTyping({ ...OPEN, ...change }))).toEqual([true, false, false, false]);
});
