import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { runCli } from '../harness/farm.ts';
import { OFFLINE_CASES } from './offline-cases.ts';

const FOLDER = packagePath('test', 'cases', 'offline');

const ROWS = OFFLINE_CASES.map((row) => [row.kind, row.file, row] as const);

test.each(ROWS)('%s: %s', async (_kind, file, { severity, shows = [], count, hides }) => {
  const path = join(FOLDER, file);
  const { exitCode, stdout, stderr } = await runCli(['validate', '--json', path]);
  const { problems } = JSON.parse(stdout) as { problems: Problem[] };
  expect(exitCode, stdout).toBe(severity === 'error' ? 1 : 0);
  const lines = problems.map((problem) => describe(problem, path));
  for (const pattern of shows)
    expect(
      lines.filter((line) => pattern.test(line)),
      `${pattern} in ${lines.join('\n')}`,
    ).not.toEqual([]);
  if (severity === null) expect(problems).toEqual([]);
  if (severity === 'warning') expect(problems.map((problem) => problem.severity)).toContain('warning');
  if (count !== undefined) expect(lines).toHaveLength(count);
  if (hides) {
    const plain = await runCli(['validate', path]);
    const plan = await runCli(['plan', '--offline', path]);
    for (const text of [stdout, stderr, plain.stdout, plain.stderr, plan.stdout, plan.stderr])
      expect(text).not.toMatch(hides);
  }
});

/** `line:column message`, with the file's name before it where a folder was read. */
function describe({ file, line, column, message }: Problem, root: string): string {
  const name = relative(root, file);
  const place = [name, line, column].filter((part) => part !== '' && part !== undefined && part !== null).join(':');
  return `${place} ${message}`;
}
