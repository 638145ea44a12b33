import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../config/package-root.ts';
import { PHASES } from '../contracts/phases.ts';

test('scripts know no phase by name: a submission contains what each phase needs', () => {
  const folder = packagePath('common', 'redis', 'scripts');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.lua'));
  expect(files.length).toBeGreaterThan(20);
  const named = files.filter((file) => {
    const text = readFileSync(`${folder}/${file}`, 'utf8');
    return PHASES.some((phase) => text.includes(`'${phase}'`) || text.includes(`"${phase}"`));
  });
  expect(named).toEqual([]);
});
