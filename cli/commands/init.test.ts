import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runCli } from '../../test/harness/farm.ts';
import { TEMPLATES } from './init.ts';

const folder = mkdtempSync(join(tmpdir(), 'slipway-init-'));

afterAll(() => rmSync(folder, { recursive: true }));

test.each(TEMPLATES)('the template %s is a module without problems', async (template) => {
  const file = join(folder, 'new', `${template}.yaml`);
  expect(await runCli(['init', '--template', template, file])).toMatchObject({ exitCode: 0, stderr: '' });
  const { exitCode, stdout } = await runCli(['validate', '--json', file]);
  expect(exitCode).toBe(0);
  const problems = JSON.parse(stdout).problems.map(
    ({ code, severity }: Record<string, string>) => `${severity} ${code}`,
  );
  // The template itself names what this version refuses to build.
  expect(problems).toEqual(template === 'windows' ? ['warning NotYetSupported'] : []);
  expect((await runCli(['plan', '--offline', file])).exitCode).toBe(template === 'windows' ? 1 : 0);
});

test('a file that is there is only written over when that is asked for', async () => {
  const file = join(folder, 'mine.yaml');
  writeFileSync(file, 'mine');
  const refused = await runCli(['init', file]);
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`${file} already exists.`) });
  expect(readFileSync(file, 'utf8')).toBe('mine');
  expect(await runCli(['init', file, '--force'])).toMatchObject({ exitCode: 0 });
  expect(await runCli(['init', '-'])).toMatchObject({ stdout: readFileSync(file, 'utf8') });
});
