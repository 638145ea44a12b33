import { expect, test } from 'vitest';
import { parseQuantity } from './quantity.ts';

test.each([
  ['7', 7],
  ['500m', 0.5],
  ['1E', 1e18],
  ['1Ei', 2 ** 60],
  ['3u', 3e-6],
  ['1.5Ki', 1536],
  ['1e3', 1000],
  ['12E2', 1200],
  ['-1Gi', -(2 ** 30)],
  [2, 2],
])('reads %s', (written, value) => {
  expect(parseQuantity(written)).toBe(value);
});

test.each(['', 'ten', '1 Gi', '1e3Ki', '1KB', '0x10', Number.NaN, null])('%s is not a quantity', (written) => {
  expect(parseQuantity(written)).toBeUndefined();
});
