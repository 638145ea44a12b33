import { expect, test } from 'vitest';
import { ShellFrames, type ShellPiece } from './shell-frames.ts';

const STREAM = 'Welcome!\n\nMARK ready\nline\n\nMAR\n\nMARK ended exited 0\nnoise without an end';

test.each([1, 3, 7, 1000])('finds the answers among what is printed, in pieces of %i bytes', (size) => {
  const frames = new ShellFrames('MARK');
  const bytes = Buffer.from(STREAM);
  const pieces: ShellPiece[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(...frames.push(bytes.subarray(at, at + size)));
  expect(merged(pieces)).toEqual([
    ...['Welcome!\n', ['ready'], 'line\n\nMAR\n', ['ended exited 0'], 'noise without an end'],
  ]);
});

/** Bytes in a row as one text, answers as lists. */
function merged(pieces: readonly ShellPiece[]): (string | string[])[] {
  const all: (string | string[])[] = [];
  for (const piece of pieces) {
    const last = all.at(-1);
    if ('answer' in piece) all.push([piece.answer]);
    else if (typeof last === 'string') all[all.length - 1] = last + piece.bytes;
    else all.push(String(piece.bytes));
  }
  return all;
}
