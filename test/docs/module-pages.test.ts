import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { fencedBlocks } from './markdown.ts';
import { answerTo, MODULE_PAGES, moduleFields, pageOf } from './module-pages.ts';

test('every field of the file format is based on one page', () => {
  expect(moduleFields().filter(({ path }) => pageOf(path) === undefined)).toEqual([]);
});

test('there is no page beside those', () => {
  const pages = readdirSync(packagePath('docs', 'module')).filter((name) => name !== 'README.md');
  expect(pages.sort()).toEqual(
    Object.keys(MODULE_PAGES)
      .map((name) => `${name}.md`)
      .sort(),
  );
});

const BLOCKS = Object.keys(MODULE_PAGES).flatMap((page) =>
  fencedBlocks(readFileSync(packagePath('docs', 'module', `${page}.md`), 'utf8')).map((block, index, all) => ({
    ...{ page, index, ...block },
    // A mistake is followed by the message of validation, which `reference-pages.test.ts` compares.
    isMistake: all[index + 1]?.language === 'text',
  })),
);

test.each(BLOCKS.filter(({ language }) => language === 'yaml'))('$page: block $index', ({ text, isMistake }) => {
  if (isMistake) expect(answerTo(text)).not.toBe('');
  else expect(answerTo(text)).toBe('');
});

test('examples and mistakes are there', () => {
  for (const page of Object.keys(MODULE_PAGES)) {
    const blocks = BLOCKS.filter((block) => block.page === page && block.language === 'yaml');
    expect(blocks.filter(({ isMistake }) => !isMistake).length, page).toBeGreaterThan(0);
    expect(blocks.filter(({ isMistake }) => isMistake).length, page).toBeGreaterThan(0);
  }
});
