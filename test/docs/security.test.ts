import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';

const page = readFileSync(packagePath('docs', 'security.md'), 'utf8');
const reference = (name: string) => readFileSync(packagePath('docs', name), 'utf8');
const quoted = [...page.matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text);

/** What stands in backquotes and looks so, without doubles. */
function named(shape: RegExp): string[] {
  return [...new Set(quoted.filter((text) => shape.test(text)))];
}

test('the threat model names options that there are', () => {
  const options = named(/^(farm|redis|http|fetch|clusters\[\]|blobs|retention)\.[A-Za-z.]+$/);
  expect(options.length).toBeGreaterThan(5);
  const known = reference('configuration.md');
  // A group is named by what is before its options.
  const isKnown = (option: string) => known.includes(`| \`${option}\``) || known.includes(`| \`${option}.`);
  expect(options.filter((option) => !isKnown(option))).toEqual([]);
});

test('every option by which strangers get in, or are kept out, is in the threat model', () => {
  const options = [...reference('configuration.md').matchAll(/^\| `((?:http|fetch)\.[^`]+|farm\.keyFile)`/gm)];
  const groups = new Set(options.map(([, option = '']) => option.split('.').slice(0, 2).join('.')));
  const plain = ['http.port', 'http.advertisedHost'];
  const missing = [...groups].filter((group) => !plain.includes(group) && !page.includes(`\`${group}`));
  expect(missing).toEqual([]);
});

test('the threat model names commands that there are, and tests and files that there are', () => {
  const cli = reference('cli.md');
  const flags = named(/^slipway .*--/).flatMap((text) => text.match(/--[a-z-]+/g) ?? []);
  expect(flags.length).toBeGreaterThan(1);
  expect(flags.filter((flag) => !cli.includes(flag))).toEqual([]);
  const files = named(/^(test|common|cli|embedded|scheduler|workers)\/.*\.ts$/);
  expect(files.length).toBeGreaterThan(8);
  expect(files.filter((file) => !existsSync(packagePath(file)))).toEqual([]);
});
