import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { packagePath } from '../../common/config/package-root.ts';
import { chartFiles } from './chart.ts';
import { plainText } from './plain.ts';

/* Writes deploy/kubernetes.yaml and the chart deploy/helm/slipway; test/deploy/manifests.test.ts keeps them equal. */
const { version } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { version: string };
const folder = packagePath('deploy', 'helm', 'slipway');
rmSync(folder, { recursive: true, force: true });
for (const [path, content] of chartFiles(version)) write(`${folder}/${path}`, content);
write(packagePath('deploy', 'kubernetes.yaml'), plainText());

function write(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}
