import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';

const FOLDERS = ['cli', 'common', 'embedded', 'scheduler', 'workers'];
/** What is compiled comes as a whole. */
const COMPILED = 'dist/';
const dockerfile = readFileSync(packagePath('Dockerfile'), 'utf8');
const ignored = readFileSync(packagePath('.dockerignore'), 'utf8').split('\n');

/** Data that the sources read from the package: arguments of `packagePath`, joined. */
function dataPaths(): string[] {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(packagePath(folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
  ).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  const calls = files.flatMap((file) => [
    ...readFileSync(packagePath(file), 'utf8').matchAll(/packagePath\(('[^)]+)\)/g),
  ]);
  return calls.map(([, parts = '']) => parts.replace(/['\s]/g, '').replaceAll(',', '/'));
}

test('the image holds every file that programs read beside their code', () => {
  const paths = dataPaths();
  expect(paths).toContain('common/redis/scripts');
  for (const path of paths.filter((other) => !other.startsWith(COMPILED))) {
    expect(dockerfile).toContain(`COPY ${path} ${path}\n`);
  }
  expect(paths).toContain(`${COMPILED}dashboards/console`);
  expect(dockerfile).toContain('COPY --from=build /src/dist dist\n');
  expect(dockerfile).toMatch(/^COPY dashboards\/console dashboards\/console\n(?:.*\n)*RUN npm run build /m);
});

test('nothing that the image is built from is kept from the engine', () => {
  const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, list = '']) => list.split(' '));
  const isSent = (path: string) =>
    ignored.some((line) => line.startsWith('!') && `${path}/`.startsWith(`${line.slice(1)}/`));
  expect(sources.filter((path) => !isSent(path))).toEqual([]);
  expect(ignored).toContain('*');
});
