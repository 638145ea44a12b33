import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';

const { dependencies } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8'));

test.each(Object.keys(dependencies))('%s can be imported by this Node', async (name) => {
  // The UI of bull-board is assets only; its package.json is what resolves.
  const module = await import(name === '@bull-board/ui' ? `${name}/package.json` : name, {
    ...(name === '@bull-board/ui' ? { with: { type: 'json' } } : {}),
  });
  expect(Object.keys(module).length).toBeGreaterThan(0);
});

test.each(Object.entries(dependencies))('%s is pinned: %s', (_name, version) => {
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});
