import { join } from 'node:path';
import axe from 'axe-core';
import type { Page } from 'playwright-core';

const DESK = { width: 1280, height: 800 };
const WIDTHS = { desk: DESK.width, phone: 360 };

/** Violations of WCAG 2.1 A and AA on a page, found by axe. */
export async function violationsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  // Of a drawing it takes the texts, and the title, for one word: the nodes of the graph are named by all of it.
  const rules = `{ 'label-content-name-mismatch': { enabled: false } }`;
  const run = `axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], rules: ${rules} })`;
  const { violations: found } = (await page.evaluate(run)) as axe.AxeResults;
  return found.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`));
}

/** Keeps a picture of the page where `SLIPWAY_PICTURES` names a folder, on a desk and on a phone. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  const folder = process.env['SLIPWAY_PICTURES'];
  if (folder === undefined) return;
  for (const [kind, width] of Object.entries(WIDTHS)) {
    await page.setViewportSize({ width, height: DESK.height });
    await page.screenshot({ path: join(folder, `${name}-${kind}.png`), fullPage: true });
  }
  await page.setViewportSize(DESK);
}
