import { writeFileSync } from 'node:fs';
import { packagePath } from '../../common/config/package-root.ts';
import { REFERENCE_PAGES } from './reference-pages.ts';

for (const { path, render } of REFERENCE_PAGES) {
  writeFileSync(packagePath(path), await render());
  console.log(`Wrote ${path}.`);
}
