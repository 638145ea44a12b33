import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { collectGarbage } from '../../test/harness/collect-garbage.ts';
import { anySignal } from './any-signal.ts';

/** What nothing refers to any more is gone when it resolves. */
async function collectAll(): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    collectGarbage();
    await delay(10);
  }
}

const neverAborted = () => new AbortController().signal;

test.each([
  ['a time-out', () => anySignal(AbortSignal.timeout(100))],
  ['a time-out beside another signal', () => anySignal(neverAborted(), AbortSignal.timeout(100))],
  ['a time-out of one of its parts', () => anySignal(anySignal(AbortSignal.timeout(100), neverAborted()))],
])('%s aborts it after a garbage collection', async (_, make) => {
  const isAborted = once(make(), 'abort').then(() => true);
  await collectAll();
  expect(await Promise.race([isAborted, delay(1_000, false)])).toBe(true);
});

test('whoever listens hears of it, though nothing else refers to it or to its other parts', async () => {
  const source = new AbortController();
  const isAborted = once(anySignal(anySignal(source.signal, neverAborted()), neverAborted()), 'abort').then(() => true);
  await collectAll();
  source.abort();
  expect(await Promise.race([isAborted, delay(1_000, false)])).toBe(true);
});

test.each([
  ['one that was aborted', (source: AbortSignal) => anySignal(source)],
  ['one of whose parts was', (source: AbortSignal) => anySignal(anySignal(source), neverAborted())],
])('%s before anybody listened is aborted after its source is gone', async (_, make) => {
  let source: AbortController | undefined = new AbortController();
  const signal = make(source.signal);
  source.abort(new Error('stop'));
  source = undefined;
  await collectAll();
  expect(signal.reason).toEqual(new Error('stop'));
  expect(() => signal.throwIfAborted()).toThrow('stop');
});

test('one that is not used any more is garbage, also while its source is used', async () => {
  const source = new AbortController();
  const made = Array.from({ length: 10 }, () => new WeakRef(anySignal(source.signal, neverAborted())));
  await collectAll();
  expect(made.filter((reference) => reference.deref())).toEqual([]);
  expect(source.signal.aborted).toBe(false);
});
