import { expect, test } from 'vitest';
import { terminalFilter } from './terminal-filter.ts';

test.each([
  ['text and line ends', 'login: \r\nroot\r\n', 'login: \r\nroot\r\n'],
  [
    'colours and the cursor',
    '\u001b[1;31mred\u001b[0m\u001b[2;5H\u001b7\u001b(B',
    '\u001b[1;31mred\u001b[0m\u001b[2;5H\u001b7\u001b(B',
  ],
  ['no title', 'a\u001b]0;owned\u0007b', 'ab'],
  ['no clipboard', 'a\u001b]52;c;cm0gLXJm\u001b\\b', 'ab'],
  [
    'no device control, application or privacy string',
    '\u001bP+q\u001b\\\u001b_x\u001b\\\u001b^y\u001b\\\u001bXz\u001b\\b',
    'b',
  ],
  ['what follows a string that was given up', '\u001b]0;open\u001b[31mred', '\u001b[31mred'],
  ['two escapes', '\u001b\u001b]0;x\u0007y', 'y'],
])('lets through %s', (_, given, shown) => {
  const filter = terminalFilter();
  expect(filter(Buffer.from(given)).toString()).toBe(shown);
  // However the bytes are cut.
  const cut = terminalFilter();
  expect([...Buffer.from(given)].map((byte) => cut(Buffer.of(byte)).toString('latin1')).join('')).toBe(shown);
});
