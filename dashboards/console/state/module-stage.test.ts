import { expect, test } from 'vitest';
import type { ModuleView, PhaseView, VmView } from '../../../common/contracts/builds.ts';
import type { Failure } from '../../../common/contracts/failures.ts';
import { PHASES } from '../../../common/contracts/phases.ts';
import { moduleStage, progressOf, vmStage } from './module-stage.ts';

type State = PhaseView['state'];

/** A VM whose first phases are in these states, and whose others wait. */
function vmIn(...states: State[]): VmView {
  const phases = PHASES.map((phase, index): PhaseView => {
    const state = states[index] ?? 'waiting';
    return { phase, state, attempts: 0, startedAt: null, finishedAt: null, worker: null, waiting: null };
  });
  return { vm: 'vm', phases, steps: [], handbuild: null, failure: null, screenshot: null };
}

/** The VM with a step that waits for a person. */
function byHand(vm: VmView): VmView {
  return { ...vm, handbuild: { step: 0, name: null, instructions: '', since: 0, kept: null } };
}

const PARENT_FAILED: Failure = {
  ...{ reason: 'ParentFailed', message: 'It starts from "base", which failed.', screenshot: false },
  ...{ logTail: [], serialTail: [], hints: [], events: [] },
};

function moduleOf(vms: VmView[], change: Partial<ModuleView> = {}): ModuleView {
  const module = {
    name: 'm',
    layerKey: 'k',
    action: 'build' as const,
    why: '',
    state: 'running' as const,
    layerBuild: 'w',
  };
  const rest = { generation: 1, cluster: 'lab', dependsOn: [], images: [], failure: null };
  return { ...module, ...rest, vms, ...change };
}

test.each([
  ['waiting', moduleOf([vmIn()], { state: 'queued' })],
  ['waiting', moduleOf([vmIn('succeeded', 'queued')])],
  ['import', moduleOf([vmIn('running')])],
  ['boot-keystrokes', moduleOf([vmIn('succeeded', 'succeeded', 'running'), vmIn('succeeded', 'running')])],
  ['snapshot', moduleOf([vmIn('succeeded', 'succeeded', 'succeeded', 'running')])],
  ['waits for you', moduleOf([vmIn('running'), byHand(vmIn('succeeded', 'succeeded', 'running'))])],
  ['failed', moduleOf([byHand(vmIn('running'))], { state: 'failed' })],
  ['succeeded', moduleOf([], { state: 'succeeded', action: 'join' })],
  ['reused', moduleOf([], { state: 'succeeded', action: 'reuse' })],
  ['failed', moduleOf([vmIn('running')], { state: 'failed' })],
  ['cancelled', moduleOf([vmIn()], { state: 'cancelled' })],
  ['skipped', moduleOf([vmIn()], { state: 'failed', failure: PARENT_FAILED })],
])('a module is at: %s', (stage, module) => {
  expect(moduleStage(module)).toBe(stage);
});

test.each([
  ['waiting', vmIn('succeeded')],
  ['provision', vmIn('succeeded', 'succeeded', 'running')],
  ['waits for you', byHand(vmIn('succeeded', 'succeeded', 'running'))],
  ['waits for you', byHand(vmIn('succeeded', 'succeeded', 'ready'))],
  ['failed', vmIn('succeeded', 'failed', 'skipped', 'skipped')],
  ['skipped', vmIn('skipped', 'skipped', 'skipped', 'skipped')],
  ['cancelled', vmIn('succeeded', 'cancelled')],
  ['succeeded', vmIn('succeeded', 'succeeded', 'succeeded', 'succeeded')],
])('a VM is at: %s', (stage, vm) => {
  expect(vmStage(vm)).toBe(stage);
});

test('progress is the share of phases that are done', () => {
  expect(progressOf(moduleOf([vmIn('succeeded', 'running'), vmIn('succeeded')]))).toBe(0.25);
  expect(progressOf(moduleOf([], { action: 'reuse' }))).toBe(1);
  expect(progressOf(moduleOf([]))).toBe(0);
});
