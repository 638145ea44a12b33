import { expect, test } from 'vitest';
import { maskSecrets } from '../../common/logging/mask.ts';
import { SerialLines } from './serial-lines.ts';

const asIs = (text: string) => text;

test('hands out whole lines after the position, and knows the last ones from before it', () => {
  const log = Buffer.from('SeaBIOS\r\nbooting\r\nready\r\n');
  const lines = new SerialLines(9, asIs);
  // Bytes come as they like.
  for (const byte of log) lines.push(Buffer.of(byte));
  expect(lines.tail).toEqual(['SeaBIOS', 'booting', 'ready']);
  expect(lines.take()).toEqual({ lines: ['booting', 'ready'], readBytes: log.length });
  expect(lines.hasWaiting).toBe(false);
  lines.push(Buffer.from('login: '));
  expect(lines.take()).toEqual({ lines: [], readBytes: log.length });
});

test('shows nothing that a terminal would act on, no secret, and one empty line for many', () => {
  const lines = new SerialLines(0, maskSecrets(['hunter2']));
  lines.push(
    Buffer.from('\u001b[2J\u001b]0;owned\u0007GRUB\n\n\n\u001b[1;1H\n 10%\r 55%\r100%\r\nthe word is hunter2\n'),
  );
  expect(lines.take().lines).toEqual(['GRUB', '', '100%', 'the word is ***']);
});

test('keeps the newest of a flood, and notes the number of missing lines', () => {
  const lines = new SerialLines(0, asIs);
  const flood = Array.from({ length: 3_000 }, (_, index) => `${String(index).padStart(99, '.')}\n`).join('');
  lines.push(Buffer.from(flood));
  const { lines: kept, readBytes } = lines.take();
  expect(readBytes).toBe(300_000);
  expect(kept.length).toBe(1 + Math.floor((64 * 1024) / 99));
  expect(kept[0]).toBe(`[${3_000 - kept.length + 1} lines came too fast and are left out]`);
  expect(kept.at(-1)).toMatch(/\.2999$/);
});
