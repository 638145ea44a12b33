import { expect, test } from 'vitest';
import type { RunStrategy, StateChangeRequest, VmiPhase } from './kubevirt-types.ts';
import { decide, pendingRequests, startBackoffMs } from './run-strategy.ts';

const START: StateChangeRequest = { action: 'Start' };
const STOP: StateChangeRequest = { action: 'Stop', uid: 'one' };

const instance = (phase: VmiPhase) => ({ uid: 'one', phase, isDeleting: false });

test.each<[RunStrategy, VmiPhase | undefined, StateChangeRequest[], string]>([
  ['Always', undefined, [], 'start'],
  ['Always', 'Running', [], 'none'],
  ['Always', 'Succeeded', [], 'stop'],
  ['Always', 'Failed', [], 'stop'],
  ['Halted', undefined, [], 'none'],
  ['Halted', 'Running', [], 'stop'],
  ['Halted', undefined, [START], 'enable'],
  ['Manual', undefined, [], 'none'],
  ['Manual', undefined, [START], 'start'],
  ['Manual', 'Running', [STOP], 'stop'],
  ['Manual', 'Succeeded', [], 'none'],
  ['Manual', 'Failed', [], 'none'],
  ['Manual', 'Succeeded', [STOP, START], 'stop'],
  ['RerunOnFailure', undefined, [], 'start'],
  ['RerunOnFailure', 'Failed', [], 'stop'],
  ['RerunOnFailure', 'Succeeded', [], 'none'],
  ['Once', undefined, [], 'start'],
  ['Once', 'Succeeded', [], 'none'],
  ['Once', 'Failed', [], 'none'],
])('%s with a VMI that is %s and requests %j: %s', (strategy, phase, requests, action) => {
  const vmi = phase === undefined ? undefined : instance(phase);
  expect(decide({ strategy, requests, vmi }).action).toBe(action);
});

test('a stop that names another VMI is none', () => {
  const requests = [{ action: 'Stop', uid: 'other' }] as const;
  expect(decide({ strategy: 'Manual', requests, vmi: instance('Running') }).action).toBe('none');
  expect(pendingRequests({ requests, vmi: instance('Running') })).toEqual([]);
});

test('a restart keeps its start until the old VMI is gone, and drops it when the new one is there', () => {
  const requests = [STOP, START];
  expect(pendingRequests({ requests, vmi: instance('Running') })).toEqual([STOP, START]);
  expect(pendingRequests({ requests, vmi: undefined })).toEqual([START]);
  expect(pendingRequests({ requests: [START], vmi: { uid: 'two', phase: 'Pending', isDeleting: false } })).toEqual([]);
});

test('a VMI that is being deleted is left alone', () => {
  const vmi = { ...instance('Running'), isDeleting: true };
  expect(decide({ strategy: 'Halted', requests: [], vmi }).action).toBe('none');
});

test('the delay grows with the square of the failures, up to five minutes', () => {
  expect([1, 2, 3, 10].map(startBackoffMs)).toEqual([10_000, 40_000, 90_000, 300_000]);
});
