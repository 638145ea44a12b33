import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../../common/clock/clock.ts';
import type { HandbuildStep } from '../../../common/contracts/module/steps/handbuild.ts';
import type { PauseState } from '../../../common/contracts/phase-store.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { Draining } from '../../runtime/drain.ts';
import { runHandbuildStep } from './handbuild-step.ts';
import type { StepContext } from './step-context.ts';

const waiting = (elapsedMs = 0): PauseState => ({ state: 'waiting', elapsedMs });
const CONTINUED: PauseState = { state: 'continued', elapsedMs: 1 };

test('holds no connection while it waits, continues on a notice, and waits for the guest', async () => {
  const { context, journal, notify } = stage([waiting(), waiting(), CONTINUED]);
  const running = runHandbuildStep(context);
  await expect.poll(() => journal).toEqual(['close', 'look']);
  notify();
  await expect.poll(() => journal).toEqual(['close', 'look', 'look']);
  notify();
  expect(await running).toEqual({ exitCode: null });
  expect(journal).toEqual(['close', 'look', 'look', 'look', 'stop', 'forget', 'use']);
});

test('continues at once when a person has already answered the worker before', async () => {
  const { context, journal } = stage([CONTINUED]);
  await runHandbuildStep(context);
  expect(journal).toEqual(['close', 'look', 'stop', 'forget', 'use']);
});

test('receives an answer that comes between its look and its wait', async () => {
  const { context, journal, notify } = stage([waiting(), CONTINUED], () => notify());
  await runHandbuildStep(context);
  expect(journal).toEqual(['close', 'look', 'look', 'stop', 'forget', 'use']);
});

test('counts its time from when the first worker began to wait', async () => {
  const waits: number[] = [];
  const clock: Clock = {
    now: () => 0,
    after: async (ms) => void waits.push(ms),
  };
  const looks = [waiting(4_000), waiting(9_990), { state: 'over', elapsedMs: 10_000 } as const];
  const { context } = stage(looks, undefined, { timeoutMs: 10_000, clock });
  await expect(runHandbuildStep(context)).rejects.toMatchObject({
    failure: { reason: 'StepTimeout', message: 'Step 3 "by hand" did not end within 10 s.' },
  });
  expect(waits).toEqual([6_000, 10]);
});

test('leaves everything as it is when its worker drains', async () => {
  const { context, journal, leave } = stage([waiting()]);
  const running = runHandbuildStep(context);
  await expect.poll(() => journal).toContain('look');
  leave();
  await expect(running).rejects.toThrow('The worker stops');
  expect(journal).toEqual(['close', 'look', 'stop']);
});

test('waits on while Redis is away', async () => {
  const { context, journal } = stage([new FarmError('RedisUnavailable', 'gone'), CONTINUED]);
  await runHandbuildStep(context);
  expect(journal).toEqual(['close', 'look', 'look', 'stop', 'forget', 'use']);
});

interface Staging {
  readonly timeoutMs?: number | null;
  readonly clock?: Clock;
}

/** The little of a step's context that is used; what the store answers comes in turn. */
function stage(
  looks: readonly (PauseState | Error)[],
  onLook: () => void = () => {},
  { timeoutMs = null, clock = systemClock }: Staging = {},
) {
  const journal: string[] = [];
  const draining = new AbortController();
  let listener = () => {};
  let next = 0;
  const pause = async () => {
    journal.push('look');
    const answer = looks[next];
    next += 1;
    onLook();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const onPauseChange = (_claim: unknown, look: () => void) => {
    listener = look;
    return () => void journal.push('stop');
  };
  const step: HandbuildStep = { type: 'handbuild', name: 'by hand', timeoutMs, instructions: 'Press Accept.' };
  const claim = { job: { vm: 'vm' }, spec: { module: { name: 'lab' } } };
  const link = {
    close: () => void journal.push('close'),
    use: async () => void journal.push('use'),
    forgetHostKeys: () => void journal.push('forget'),
  };
  const context = {
    ...{ step, index: 2, build: 'b', access: { link }, signal: draining.signal },
    phase: { claim, clock, store: { pause, onPauseChange } },
  };
  return {
    context: context as unknown as StepContext<HandbuildStep>,
    journal,
    notify: () => listener(),
    leave: () => draining.abort(new Draining()),
  };
}
