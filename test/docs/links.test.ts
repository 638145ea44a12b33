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
  const names = fileNames(readFileSync(packagePath(page), 'utf8'));
  expect(names.filter((name) => !isFile(page, name))).toEqual([]);
});

test('finds links and headings, and reports broken ones', () => {
  expect(linkTargets('[a](b.md#c) `[no](code)`\n```sh\n[no](fence)\n```\n')).toEqual(['b.md#c']);
  expect([...headingAnchors('# A `b`: c!\n## Same\n## Same\n')]).toEqual(['a-b-c', 'same', 'same-1']);
  expect(brokenLink('README.md', 'docs/nowhere.md')).toEqual(['docs/nowhere.md: there is no such file']);
  expect(brokenLink('README.md', '#no-such-heading')).toEqual(['#no-such-heading: there is no such heading']);
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
const SOURCES = new Set(
  FOLDERS.filter((folder) => !['node_modules', 'dist', '.git'].includes(folder)).flatMap((folder) =>
    readdirSync(packagePath(folder), { recursive: true, encoding: 'utf8' }).map((path) => basename(path)),
  ),
);

/** What is in backticks and begins with a folder of this project, or is called as only its files are. */
function fileNames(markdown: string): string[] {
  const quoted = [...markdown.replace(/```.*?```/gs, '').matchAll(/`([\w.@-]+(?:\/[\w.@-]+)*\/?)`/g)];
  return quoted
    .map(([, name = '']) => name)
    .filter(
      (name) => /\.(ts|lua|sh)$/.test(name) || (name.includes('/') && FOLDERS.includes(name.split('/')[0] ?? '')),
    );
}

function isFile(page: string, name: string): boolean {
  if (!name.includes('/')) return SOURCES.has(name) || existsSync(packagePath(name));
  return [name, join(dirname(page), name)].some((path) => existsSync(packagePath(path)));
}

function brokenLink(page: string, target: string): string[] {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : join(dirname(page), decodeURIComponent(path));
  if (!existsSync(packagePath(file))) return [`${target}: there is no such file`];
  if (anchor === undefined) return [];
  const anchors = headingAnchors(readFileSync(packagePath(file), 'utf8'));
  return anchors.has(anchor) ? [] : [`${target}: there is no such heading`];
}
