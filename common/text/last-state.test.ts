import { expect, test } from 'vitest';
import { lastState } from './last-state.ts';

test.each([
  ['a line', 'done', 'done'],
  ['a line of Windows', 'done\r', 'done'],
  ['a progress bar', ' 10%\r 50%\r100%', '100%'],
  ['a progress bar that ends its line twice', ' 10%\r100%\r\r', '100%'],
  ['nothing', '\r', ''],
])('%s', (_what, line, shown) => {
  expect(lastState(line)).toBe(shown);
});
