import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { headingAnchors, linkTargets, markdownPages } from './markdown.ts';

test.each(markdownPages())('every link of %s leads somewhere', (page) => {
  const targets = linkTargets(readFileSync(packagePath(page), 'utf8'));
  expect(targets.filter((target) => !/^[a-z]+:/i.test(target)).flatMap((target) => brokenLink(page, target))).toEqual(
    [],
  );
});

test.each(markdownPages())('every file of this project that %s names is there', (page) => {
  const names = fileNames(page, readFileSync(packagePath(page), 'utf8'));
  expect(names.filter((name) => !isFile(page, name))).toEqual([]);
});

test('finds links and headings, and reports broken ones', () => {
  expect(linkTargets('[a](b.md#c) `[no](code)`\n```sh\n[no](fence)\n```\n')).toEqual(['b.md#c']);
  expect([...headingAnchors('# A `b`: c!\n## Same\n## Same\n')]).toEqual(['a-b-c', 'same', 'same-1']);
  expect(brokenLink('README.md', 'docs/nowhere.md')).toEqual(['docs/nowhere.md: there is no such file']);
  expect(brokenLink('README.md', '#no-such-heading')).toEqual(['#no-such-heading: there is no such heading']);
});

test('finds names of files and folders, and reports missing ones', () => {
  const names = fileNames('common/README.md', 'See `redis/`, `gone/`, `a.yaml`, `text/ipv4.ts`, `no code`.');
  expect(names).toEqual(['redis/', 'gone/', 'a.yaml', 'text/ipv4.ts']);
  expect(names.filter((name) => !isFile('common/README.md', name))).toEqual(['gone/', 'a.yaml']);
  expect(fileNames('docs/recipes.md', '`a.yaml`, `common/gone/`')).toEqual(['common/gone/']);
});

test.each(['common', 'scheduler', 'workers', 'embedded', 'cli', 'dashboards', 'deploy', 'test'])(
  'the README of %s names every folder in it',
  (room) => {
    const page = readFileSync(packagePath(room, 'README.md'), 'utf8');
    const folders = readdirSync(packagePath(room), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).filter((name) => !page.includes(`${name}/`))).toEqual([]);
  },
);

const FOLDERS = readdirSync(packagePath(), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
/** Every file and folder of this project, as paths from its root. */
const PATHS = FOLDERS.filter((folder) => !['node_modules', 'dist', '.git'].includes(folder)).flatMap((folder) => [
  folder,
  ...readdirSync(packagePath(folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
]);
const SOURCES = new Set(PATHS.map((path) => basename(path)));
/** Pages about the project's own files, and about no others. */
const OF_DEVELOPERS = ['CONTRIBUTING.md', 'architecture.md', 'README.md', 'LIMITATIONS.md'];
/** Names the files of other projects. */
const FOREIGN = ['embedded/api/crds/README.md'];

/**
 * What is in backticks and begins with a folder of this project, or is called as only its files are; on pages of developers also
 * folders and data files.
 */
function fileNames(page: string, markdown: string): string[] {
  const quoted = [...markdown.replace(/```.*?```/gs, '').matchAll(/`([\w.@-]+(?:\/[\w.@-]+)*\/?)`/g)];
  const isOurs = OF_DEVELOPERS.includes(basename(page)) && !FOREIGN.includes(page);
  const named = isOurs ? /(\.(ts|tsx|lua|sh|json|yaml|md|css)|\/)$/ : /\.(ts|lua|sh)$/;
  return quoted
    .map(([, name = '']) => name)
    .filter((name) => named.test(name) || (name.includes('/') && FOLDERS.includes(name.split('/')[0] ?? '')));
}

/** From the root, from the page, or somewhere below the page's folder. */
function isFile(page: string, name: string): boolean {
  if (!name.includes('/')) return SOURCES.has(name) || existsSync(packagePath(name));
  if ([name, join(dirname(page), name)].some((path) => existsSync(packagePath(path)))) return true;
  return PATHS.some((path) => path.startsWith(`${dirname(page)}/`) && path.endsWith(`/${name.replace(/\/$/, '')}`));
}

function brokenLink(page: string, target: string): string[] {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : join(dirname(page), decodeURIComponent(path));
  if (!existsSync(packagePath(file))) return [`${target}: there is no such file`];
  if (anchor === undefined) return [];
  const anchors = headingAnchors(readFileSync(packagePath(file), 'utf8'));
  return anchors.has(anchor) ? [] : [`${target}: there is no such heading`];
}
