import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { packagePath } from '../../common/config/package-root.ts';
import { derivedFiles, plainManifest } from './chart.ts';

/* Writes what deploy/ takes from the code, and deploy/kubernetes.yaml; manifests.test.ts compares them. */
for (const [path, content] of derivedFiles()) write(path, content);
write('kubernetes.yaml', await plainManifest());

function write(path: string, content: string): void {
  const file = packagePath('deploy', path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}
