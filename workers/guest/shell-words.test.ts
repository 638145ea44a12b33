import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { printing, quote, unixText } from './shell-words.ts';

const TEXTS: readonly string[] = [
  '',
  'it\'s $HOME `id` "quoted" \\n %s',
  'one\ntwo\r\n\n',
  'a\0b\0',
  '😀'.repeat(30_000),
];

test.each(['sh', 'bash'])('prints any text byte for byte in %s', (shell) => {
  for (const text of TEXTS) {
    expect(execFileSync(shell, { input: printing(text) }).toString()).toBe(text);
    const word = text.replaceAll('\0', '');
    expect(execFileSync(shell, { input: `printf %s ${quote(word)}` }).toString()).toBe(word);
  }
});

test.each([
  ['of Windows', 'set -e\r\nif true; then\r\n  echo two\r\nfi\r\n', 'set -e\nif true; then\n  echo two\nfi\n'],
  ['of Windows, after the first line', '#!/bin/sh\necho one\r\necho two\r\n', '#!/bin/sh\necho one\necho two\n'],
  ['of Windows but for the last one', '#!/bin/sh\r\necho three\r', '#!/bin/sh\necho three'],
  ['with a byte order mark', '\uFEFF#!/bin/sh\necho one\n', '#!/bin/sh\necho one\n'],
  [
    'of Unix',
    "echo one\ncat <<'END'\na header\r\nEND\necho two\n",
    "echo one\ncat <<'END'\na header\r\nEND\necho two\n",
  ],
  ['without any end', 'echo one', 'echo one'],
])('makes a text of Unix of a script %s', (_name, script, converted) => {
  expect(unixText(script)).toBe(converted);
});
