import { expect, it } from 'vitest';
import { maskSecrets } from '../../common/logging/mask.ts';
import { LineSplitter } from './log-lines.ts';

it('hides a secret that a long line was cut in, and one that is longer than a line may be', () => {
  for (const secret of ['hunter2'.repeat(3), 'schlüssel'.repeat(4_000)]) {
    for (const before of [16_370, 16_380, 5]) {
      const splitter = new LineSplitter(0);
      const bytes = Buffer.from(`${'-'.repeat(before)}${secret}${'+'.repeat(20)}\n`);
      const lines = [...splitter.push(bytes.subarray(0, 9_000)), ...splitter.push(bytes.subarray(9_000))];
      expect(lines.at(-1)?.end).toBe(bytes.length);
      const text = lines.map((line) => maskSecrets([secret])(line.text, line.cut)).join('');
      expect(text).toMatch(/^-+(\*\*\*)+\++$/);
    }
  }
});

it('cuts no character in two', () => {
  const lines = new LineSplitter(0).push(Buffer.from(`${'-'.repeat(16_383)}€€\n`));
  expect(lines.map(({ text, end }) => [text.replace(/^-+/, ''), end])).toEqual([
    ['', 16_383],
    ['€€', 16_390],
  ]);
});
