import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { loadProgram } from '../program.ts';
import { SCRIPTS, type Shell } from './scripts.ts';
import { suggest } from './suggest.ts';

const IDS = [{ value: 'AAAAAAA1', description: 'failed: base' }];
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-completion-'));
  const [node, main] = programCommand('cli/main');
  writeFileSync(join(folder, 'slipway'), `#!/bin/sh\nexec '${node}' '${main}' "$@"\n`, { mode: 0o755 });
  writeFileSync(join(folder, 'my module.yaml'), '');
  for (const [shell, script] of Object.entries(SCRIPTS)) writeFileSync(join(folder, shell), script);
});

afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  [['doc'], ['doctor'], false],
  [['token', ''], ['create', 'list', 'revoke'], false],
  [['token', 'create', '--role', ''], ['viewer', 'builder', 'admin'], false],
  [['up', '--data'], ['--data-dir'], false],
  [['up', '--data-dir', ''], [], true],
  [['build', '--rebuild', ''], [], false],
  [['build', '--junit', 'report.xml', ''], ['export'], true],
  [['build', 'a.yaml', ''], [], true],
  [['cancel', 'AAA'], ['AAAAAAA1'], false],
  [['continue', 'AAAAAAA1', ''], [], false],
  [['completion', ''], ['bash', 'zsh', 'fish'], false],
  [['no-such', 'thing'], [], false],
])('after %j come %j', async (words, values, files) => {
  const found = await suggest(await loadProgram(), words, async () => IDS);
  expect({ ...found, items: found.items.map(({ value }) => value) }).toEqual({ items: values, files });
});

/** What the shell itself offers for a line, one word a line. */
const ASK: Readonly<Record<Shell, (line: string) => string>> = {
  bash: (line) =>
    `source ./bash; words=(${line}); COMP_WORDS=(slipway "\${words[@]}"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); ` +
    `_slipway; printf '%s\\n' "\${COMPREPLY[@]}"`,
  fish: (line) => `source ./fish; complete -C "slipway ${line.replace(/''$/, '')}"`,
  // The widgets of the completion system need a terminal: what it is given is caught before that.
  zsh: (line) =>
    'compdef() { }; source ./zsh; ' +
    `_describe() { print -rl -- "\${(@P)2%%:*}"; }; _files() { print -rl -- *(N); }; ` +
    `words=(slipway ${line}); CURRENT=$#words; _slipway`,
};

test.each([
  ["val''", /^validate$/m],
  ["token ''", /^create\nlist\nrevoke$/m],
  ["validate ''", /^my module\.yaml$/m],
])('bash completes %s', (line, expected) => expect(ask('bash', line)).toMatch(expected));

test.each([
  ["val''", /^validate$/m],
  ["token ''", /^create\nlist\nrevoke$/m],
  ["validate ''", /^my module\.yaml$/m],
])('zsh completes %s', (line, expected) => expect(ask('zsh', line)).toMatch(expected));

test.each([
  ["val''", /^validate\tcheck module files/m],
  ["token ''", /^create\t.*\nlist\t.*\nrevoke\t/m],
  ["validate ''", /my module\.yaml/],
])('fish completes %s', (line, expected) => expect(ask('fish', line)).toMatch(expected));

function ask(shell: Shell, line: string): string {
  const env = { HOME: folder, PATH: `${folder}${delimiter}${process.env['PATH']}` };
  return execFileSync(shell, ['-c', ASK[shell](line)], { cwd: folder, env, encoding: 'utf8' });
}
