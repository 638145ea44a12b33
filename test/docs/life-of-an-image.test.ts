import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';

const PAGE = readFileSync(packagePath('docs', 'life-of-an-image.md'), 'utf8');

/** Commands of the page, as their names and flags: `slipway image rm lab:1 --force` is image, rm, --force. */
const COMMANDS = [...PAGE.matchAll(/^slipway (.*?)(?: {2,}#.*)?$/gm)].map(([line, words = '']) => ({
  line,
  names: /^(?:(?:image|step) [a-z]+|build export|[a-z]+)/.exec(words)?.[0].split(' ') ?? [],
  flags: words.match(/--[a-z-]+(?==| |$)/g) ?? [],
}));

const TESTS = ['api', 'cases', 'console', 'e2e']
  .flatMap((folder) =>
    readdirSync(packagePath('test', folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  )
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => readFileSync(packagePath('test', file), 'utf8'));

test.each(COMMANDS)('a test runs $line', ({ names, flags }) => {
  const [command = '', sub] = names;
  const quoted = `'${command}'${sub === undefined ? '' : `,\\s*'${sub}'`}`;
  const runs = TESTS.filter((text) => new RegExp(`[([]\\s*${quoted}`).test(text));
  expect(runs, 'tests with the command').not.toEqual([]);
  for (const flag of flags)
    expect(
      runs.some((text) => text.includes(`'${flag}`)),
      flag,
    ).toBe(true);
});
