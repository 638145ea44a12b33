import { expect, test } from 'vitest';
import { printable } from './printable.ts';

test.each([
  ['colours', '\u001b[1;31mred\u001b[0m', 'red'],
  ['colours of many parts', '\u001b[38;5;9mred\u001b[38;2;1;2;3m!', 'red!'],
  ['moves and erasures', 'a\u001b[2J\u001b[1;1H\u001b[Kb', 'ab'],
  ['private modes', '\u001b[?25l\u001b[?1049hb', 'b'],
  ['a window title', '\u001b]0;owned\u0007b', 'b'],
  ['a link', '\u001b]8;;https://evil.example\u001b\\here\u001b]8;;\u001b\\', 'here'],
  ['a control string', 'a\u001bPq#0;2;0;0;0#0~~\u001b\\b', 'ab'],
  ['a control string without an end', 'a\u001b]52;c;c2VjcmV0', 'a'],
  ['a character set', '\u001b(0lqk\u001b(B', 'lqk'],
  ['a reset', '\u001bcb', 'b'],
  ['an escape without an end', 'a\u001b', 'a'],
  ['a sequence without an end', 'a\u001b[12;', 'a'],
  ['sequences of eight bits', 'a\u009b31mb\u009d0;t\u009cc', 'abc'],
  ['control characters', 'a\tb\rc\u0000d\u007fe', 'a b c d e'],
  ['marks that turn the direction', 'a\u202eb\u2066c', 'a b c'],
  ['nothing else', '<script>alert(1)</script> ünïcode 🚢 [31m', '<script>alert(1)</script> ünïcode 🚢 [31m'],
])('takes out %s', (_what, text, expected) => {
  expect(printable(text)).toBe(expected);
});
