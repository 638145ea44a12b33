import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadProgram } from '../../cli/program.ts';
import { describeOptions } from '../../common/config/load-config.ts';
import { packagePath } from '../../common/config/package-root.ts';

const page = readFileSync(packagePath('docs', 'security.md'), 'utf8');
const quoted = [...page.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
const options = describeOptions().map(({ path }) => path);

test('names only options that the configuration has', () => {
  const groups = new Set(options.map((path) => path.split('.')[0]));
  const named = quoted.filter((text) => /^[a-z]+(\.[A-Za-z]+)+$/.test(text) && groups.has(text.split('.')[0] ?? ''));
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((path) => !options.includes(path))).toEqual([]);
});

test('names every option that restricts access', () => {
  const deciding =
    /^(fetch\..*|http\.(host|plaintext|tls\.certificateFile|tokenFile|limits\..*)|farm\.keyFile|metrics\.tokenFile|logs\..*)$/;
  expect(options.filter((path) => deciding.test(path) && !quoted.includes(path))).toEqual([]);
});

test('names only flags that `slipway up` has, and tests that are there', async () => {
  const up = (await loadProgram()).commands.find((command) => command.name() === 'up');
  const flags = quoted.flatMap((text) => /^slipway up (--[a-z-]+)$/.exec(text)?.[1] ?? []);
  expect(flags.length).toBeGreaterThan(1);
  expect(flags.filter((flag) => !up?.options.some(({ long }) => long === flag))).toEqual([]);
  const tests = quoted.filter((text) => text.endsWith('.test.ts'));
  expect(tests.length).toBeGreaterThan(5);
  expect(tests.filter((path) => !existsSync(packagePath(path)))).toEqual([]);
});

test('names every attack that is tried', () => {
  const attacks = readdirSync(packagePath('test', 'attacks')).filter((name) => name.endsWith('.test.ts'));
  expect(attacks.map((name) => `test/attacks/${name}`).filter((path) => !quoted.includes(path))).toEqual([]);
});

test('shows the filter that machines really get', () => {
  const source = readFileSync(packagePath('embedded', 'qemu', 'command-line.ts'), 'utf8');
  const [, filter] = /SANDBOX = '([^']+)'/.exec(source) ?? [];
  expect(quoted).toContain(`-sandbox ${filter}`);
});
