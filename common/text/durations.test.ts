import { expect, test } from 'vitest';
import { seconds } from './durations.ts';

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
