import { expect, test } from 'vitest';
import { exactSize, sizeText } from './size-text.ts';

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [2 ** 20, '1 MiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [2 ** 60, '1024 PiB'],
])('%i bytes are read as %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

test.each([
  [20 * 2 ** 30, '20Gi'],
  [512 * 2 ** 20, '512Mi'],
  [2 ** 20 + 1, '1048577 bytes'],
  [0, '0 bytes'],
])('%i bytes are written as %s', (bytes, text) => {
  expect(exactSize(bytes)).toBe(text);
});
