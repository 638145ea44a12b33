import { expect, test } from 'vitest';
import { ageOf, seconds, until } from './durations.ts';

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [1_000, '1.0 s'],
  [59_949, '59.9 s'],
  [59_950, '1 min 0 s'],
  [119_700, '2 min 0 s'],
  [250_000, '4 min 10 s'],
  [11_100_000, '3 h 5 min'],
])('%i ms is %s', (ms, text) => {
  expect(seconds(ms)).toBe(text);
});

test('prints ages in their largest unit', () => {
  expect([-5, 4_999, 59_000, 3_599_000, 86_399_000, 172_800_000].map(ageOf)).toEqual([
    'just now',
    'just now',
    '59 s ago',
    '59 min ago',
    '23 h ago',
    '2 d ago',
  ]);
});

test('prints the time until a moment in its largest unit', () => {
  expect([-5, 999, 1_000, 90_000, 86_399_000, 172_800_000].map(until)).toEqual([
    'now',
    'now',
    'in 1 s',
    'in 1 min',
    'in 23 h',
    'in 2 d',
  ]);
});
