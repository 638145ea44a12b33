import { expect, test } from 'vitest';
import { MODULES } from '../api/live-api.ts';
import { SUBMISSION, useWebConsole } from './web-console.ts';

const web = useWebConsole();

test('runs an image, shows its clones, and stops them; a viewer only looks', { timeout: 90_000 }, async () => {
  await web.api.client.submit(SUBMISSION);
  await web.api.work();
  web.api.keepTemplates(MODULES);
  await web.open('/images');
  const row = web.page.getByRole('row').filter({ hasText: /^base:1/ });
  await row.locator('summary[aria-label="Run base:1"]').click();
  await row.getByLabel('It runs for').fill('90m');
  await web.picture('images');
  expect(await web.violations()).toEqual([]);
  await row.getByRole('button', { name: 'Start a clone' }).click();
  await row.getByText('Starting: see Clones').waitFor();
  expect((await web.api.client.runs())[0]).toMatchObject({ image: 'base:1', ttlMs: 5_400_000 });
  await row.getByRole('link', { name: 'Clones' }).click();
  await web.page.getByText('is not up yet').waitFor();
  await web.api.work();
  await web.page.getByText('is up', { exact: true }).waitFor();
  await web.picture('clones');
  expect(await web.violations()).toEqual([]);
  // A clone is not listed among the builds.
  await web.page.getByRole('link', { name: 'Builds' }).click();
  await expect.poll(() => web.page.getByRole('row').count()).toBe(2);
  const viewer = await web.context.browser()?.newContext();
  const other = await viewer?.newPage();
  const { token } = await web.api.client.createToken({ role: 'viewer' });
  await other?.goto(`${await web.api.as(token).consoleLink()}&to=/runs`);
  await other?.getByText('is up', { exact: true }).waitFor();
  expect(await other?.getByRole('button', { name: 'Stop' }).count()).toBe(0);
  await viewer?.close();
  await web.page.getByRole('link', { name: 'Clones' }).click();
  await web.page.getByRole('button', { name: 'Stop' }).click();
  await web.page.getByRole('button', { name: 'Stop this clone of base:1' }).click();
  await web.page.getByText('No clones are running.').waitFor();
  expect(web.complaints).toEqual([]);
});

test('sets and removes tags, and prunes images for an admin', { timeout: 90_000 }, async () => {
  await web.api.client.submit(SUBMISSION);
  await web.api.work();
  await web.open('/images', 'admin');
  const row = web.page.getByRole('row').filter({ hasText: /^base:1/ });
  await row.locator('summary[aria-label="Tag base:1"]').click();
  await row.getByLabel('Tag', { exact: true }).fill('stable');
  await row.getByRole('button', { name: 'Set it' }).click();
  await row.getByText('@stable is version 1', { exact: true }).waitFor();
  await web.page.getByRole('row', { name: /^base:1 current @stable/ }).waitFor();
  await web.page.getByText('Remove old images').click();
  const pruning = web.page.locator('details[open]').filter({ hasText: 'Remove old images' });
  await pruning.getByLabel('Newest versions').fill('1');
  await pruning.getByRole('button', { name: 'Show what would go' }).click();
  await pruning.getByText('0 images would be removed.').waitFor();
  await web.picture('images-forms');
  expect(await web.violations()).toEqual([]);
  await row.getByRole('button', { name: 'Remove it from base' }).click();
  await row.getByText('@stable is removed', { exact: true }).waitFor();
  await web.page.getByRole('row', { name: /^base:1 current under/ }).waitFor();
  await row.locator('summary[aria-label="Remove base:1"]').click();
  await row.getByLabel('Even if it has a tag').check();
  await row.getByRole('button', { name: 'Remove base:1' }).click();
  await expect.poll(() => row.count()).toBe(0);
  expect(web.complaints).toEqual([]);
  await web.context.clearCookies();
  await web.open('/images');
  await web.page
    .getByRole('row')
    .filter({ hasText: /^child:1/ })
    .waitFor();
  expect(await web.page.getByText('Remove old images').count()).toBe(0);
});
