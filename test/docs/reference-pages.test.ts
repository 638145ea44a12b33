import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { REFERENCE_PAGES } from './reference-pages.ts';

test.each(REFERENCE_PAGES)('$path matches its source (else: npm run docs)', async ({ path, render }) => {
  expect(readFileSync(packagePath(path), 'utf8')).toBe(await render());
});
