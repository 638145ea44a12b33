import { expect, test } from 'vitest';
import type { Attempt } from './build-model.ts';
import { isAfter } from './event-id.ts';
import { barsOf, spanOf } from './timeline.ts';

const attempt = (startedAt: number, finishedAt: number | null): Attempt => ({
  ...{ phase: 'import', number: 1, why: '', startedAt, finishedAt, outcome: null, failure: null, worker: null },
});

test('reaches from the first start to the last end, or to now', () => {
  expect(spanOf([], 9)).toBe(null);
  expect(spanOf([attempt(200, 300), attempt(100, 150)], 900)).toEqual({ fromMs: 100, toMs: 300 });
  expect(spanOf([attempt(100, 150), attempt(200, null)], 900)).toEqual({ fromMs: 100, toMs: 900 });
});

test('places bars by their times, and shows the shortest', () => {
  const attempts = [attempt(0, 250), attempt(500, null), attempt(1_000, 1_000)];
  const bars = barsOf(attempts, { fromMs: 0, toMs: 1_000 }, 1_000);
  expect(bars.map(({ from, width, durationMs }) => [from, width, durationMs])).toEqual([
    [0, 0.25, 250],
    [0.5, 0.5, 500],
    [0.994, 0.006, 0],
  ]);
});

test.each([
  ['2-0', '1-9', true],
  ['1-10', '1-9', true],
  ['1-9', '1-9', false],
  ['1-0', '0', true],
  ['0', '1-0', false],
])('event %s comes after %s: %s', (id, other, expected) => {
  expect(isAfter(id, other)).toBe(expected);
});
