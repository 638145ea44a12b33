import { expect, test } from 'vitest';
import { otherThanText } from './script-text.ts';

test.each([
  ['a script', Buffer.from('#!/bin/sh\necho é\n'), undefined],
  ['a script that is cut off within a character', Buffer.from('echo é').subarray(0, -1), undefined],
  ['a script with a byte order mark', Buffer.from('\ufeffecho\n'), undefined],
  ['nothing', Buffer.alloc(0), undefined],
  ['UTF-16 as PowerShell writes it', Buffer.from('\ufeffecho a', 'utf16le'), 'in UTF-16'],
  ['Latin-1', Buffer.from('echo é\n', 'latin1'), 'not in UTF-8'],
  ['a program', Buffer.from('\x7fELF\0\0'), 'a program or other binary content'],
])('%s', (_what, content, expected) => {
  expect(otherThanText(content)).toBe(expected);
});
