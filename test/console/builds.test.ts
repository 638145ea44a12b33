import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Failure } from '../../common/contracts/failures.ts';
import { reportTrouble } from '../../common/redis/slots.ts';
import { LAB } from '../api/live-api.ts';
import { HARMLESS, HOSTILE, PIXEL, SUBMISSION, useWebConsole } from './web-console.ts';

const web = useWebConsole();

test('is small: the viewer of screens comes later', () => {
  const files = readdirSync(join(web.folder, 'assets')).filter((name) => name.endsWith('.js'));
  const scripts = files.map((name) => ({ name, text: readFileSync(join(web.folder, 'assets', name), 'utf8') }));
  for (const { text } of scripts) expect(text).not.toMatch(/\beval\(/);
  const page = readFileSync(join(web.folder, 'index.html'), 'utf8');
  const [first, ...others] = scripts.filter(({ name }) => page.includes(name));
  expect(others).toEqual([]);
  expect(gzipSync(first?.text ?? '').length).toBeLessThan(86_000);
  expect(scripts.length).toBe(2);
  expect(readFileSync(join(web.folder, 'assets', 'licenses.md'), 'utf8')).toContain('@novnc/novnc');
});

test('needs a token, and signs in and out', { timeout: 90_000 }, async () => {
  const { token } = await web.api.client.createToken({ role: 'viewer', name: 'somebody' });
  await web.page.goto(`${web.api.url}/images`);
  await web.page.getByLabel('Token').fill('wrong');
  await web.page.getByRole('button', { name: 'Sign in' }).click();
  await web.page.getByText('The token is not valid.').waitFor();
  await web.page.getByLabel('Token').fill(token);
  await web.page.getByRole('button', { name: 'Sign in' }).click();
  await web.page.getByRole('heading', { name: 'Images' }).waitFor();
  await web.page.getByText('No images yet').waitFor();
  expect(new URL(web.page.url()).pathname).toBe('/images');
  expect(await web.page.evaluate('document.cookie')).toBe('');
  await web.page.getByText('somebody').waitFor();
  await web.page.getByRole('button', { name: 'Sign out' }).click();
  await web.page.getByLabel('Token').waitFor();
  expect((await web.context.cookies()).map(({ name }) => name)).toEqual([]);
  expect([...web.requested]).toEqual([web.api.url]);
  // The browser's own messages about the answers 401.
  expect(web.complaints.filter((text) => !text.includes('401'))).toEqual([]);
});

test('shows a build live, from its first phase to its images', { timeout: 120_000 }, async () => {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  await web.open('/');
  await search('nowhere');
  await web.page.getByText('No build matches.').waitFor();
  await search('chil');
  await web.page.getByRole('link', { name: buildId }).click();
  await web.node('base: waiting, on the critical path').waitFor();
  await web.node('child: waiting, on base, on the critical path').waitFor();
  const imported = await web.startPhase('base');
  await web.node('base: import').waitFor();
  await web.api.finish(imported);
  await web.api.finish(await web.startPhase('base'));
  const provision = await web.startPhase('base');
  await web.node('base: provision').waitFor();
  const line = { event: 'log', phase: 'provision', source: 'step', module: 'base', vm: 'vm' } as const;
  await web.api.store.emit(provision, { ...line, line: HOSTILE });
  await web.page.getByRole('log').getByText(HARMLESS, { exact: true }).waitFor();
  await web.api.finish(provision);
  await web.api.finish(await web.startPhase('base'));
  await web.node('base: succeeded').waitFor();
  await web.node('child: waiting').click();
  await web.page.getByRole('heading', { name: 'child', exact: true }).waitFor();
  const machine = web.page.getByRole('article', { name: 'Machine vm' });
  await machine.getByText('waits for room').waitFor();
  await web.api.work();
  await web.node('child: succeeded').waitFor();
  await web.page.getByRole('status').getByText('succeeded').waitFor();
  await machine.getByText('snapshot', { exact: true }).waitFor();
  await web.page.getByLabel('Machine', { exact: true }).selectOption('child/vm');
  await web.page.getByRole('log').getByText('a "module":"line"').waitFor();
  expect(await web.page.getByRole('log').getByText(HARMLESS).count()).toBe(0);
  await web.page.getByRole('link', { name: 'Images' }).click();
  await web.page.getByRole('row', { name: /^child:1 current on base:1 vm/ }).waitFor();
  await reportTrouble(web.api.redis, LAB.name, null);
  await web.page.getByRole('link', { name: 'Clusters' }).click();
  await web.page.getByText('healthy').waitFor();
  expect(await web.page.title()).toBe('Clusters · Slipway');
  expect([...web.requested]).toEqual([web.api.url]);
  expect(web.complaints).toEqual([]);
});

async function search(text: string): Promise<void> {
  await web.page.getByLabel('Module or id').fill(text);
  await web.page.keyboard.press('Enter');
}

test('continues where its stream was cut', { timeout: 90_000 }, async () => {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  await web.open(`/builds/${buildId}`);
  const claim = await web.startPhase('base');
  await web.node('base: import').waitFor();
  const line = { event: 'log', phase: 'import', source: 'import', module: 'base', vm: 'vm' } as const;
  await web.api.store.emit(claim, { ...line, line: 'before' });
  await web.page.getByRole('log').getByText('before').waitFor();
  web.api.cut();
  await web.page.getByText('The connection to the farm was lost').waitFor();
  await web.api.store.emit(claim, { ...line, line: 'after' });
  await web.api.finish(claim);
  await web.page.getByRole('log').getByText('after').waitFor();
  expect(await web.page.getByRole('log').getByText('before').count()).toBe(1);
  await web.node('base: waiting').waitFor();
  expect(await web.page.getByText('The connection to the farm was lost').count()).toBe(0);
});

test('explains a failure with all that was kept, as text', { timeout: 90_000 }, async () => {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  await web.open(`/builds/${buildId}`);
  const claim = await web.startPhase('base');
  await web.api.store.saveScreenshot(claim, PIXEL);
  const failure: Failure = {
    reason: 'GuestNeverAnswered',
    message: `It printed ${HOSTILE}`,
    logTail: [HOSTILE],
    serialTail: [HOSTILE],
    hints: [],
    events: [`Warning ${HOSTILE}`],
    screenshot: true,
  };
  await web.api.store.commit(claim, { outcome: 'failed', failure });
  await web.node('base: failed').waitFor();
  await web.node('child: skipped').waitFor();
  const machine = web.page.getByRole('article', { name: 'Machine vm' });
  await machine.getByText('Look at the screenshot.').waitFor();
  for (const text of [`GuestNeverAnswered: It printed ${HARMLESS}`, HARMLESS, `Warning ${HARMLESS}`]) {
    await machine.getByText(text, { exact: true }).first().waitFor();
  }
  await web.picture('failed-build');
  expect(await web.violations()).toEqual([]);
  await machine.getByRole('link', { name: 'phase import' }).click();
  expect(new URL(web.page.url()).search).toBe('?log=base%2Fvm&part=import');
  await machine.getByText('Screen, as it was kept').scrollIntoViewIfNeeded();
  const screen = machine.getByRole('img', { name: 'The screen of vm' });
  await screen.waitFor();
  await expect.poll(() => screen.evaluate((image) => Reflect.get(image, 'naturalWidth'))).toBe(1);
  expect(await web.page.locator('script, [onerror]').count()).toBe(1);
  expect(await web.page.title()).toContain(buildId);
  await web.page.getByRole('button', { name: 'Retry what did not succeed' }).click();
  await web.node('base: waiting').waitFor();
  expect(web.page.url()).not.toContain(buildId);
  expect([...web.requested]).toEqual([web.api.url]);
  expect(web.complaints).toEqual([]);
});

test('a builder cancels a build, a viewer cannot', { timeout: 90_000 }, async () => {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  await web.open(`/builds/${buildId}`, 'viewer');
  await web.node('base: waiting').waitFor();
  await web.page.getByText('viewer', { exact: true }).waitFor();
  expect(await web.page.getByRole('button', { name: 'Cancel build' }).count()).toBe(0);
  const path = `/api/v1/builds/${buildId}/cancel`;
  const status = () => web.page.evaluate((to) => fetch(to, { method: 'POST' }).then((answer) => answer.status), path);
  expect(await status()).toBe(403);
  expect((await web.api.client.build(buildId)).state).toBe('queued');
  web.complaints = [];
  await web.context.clearCookies();
  await web.open(`/builds/${buildId}`);
  await web.page.getByRole('button', { name: 'Cancel build' }).click();
  await web.page.getByRole('button', { name: 'Yes, cancel it' }).click();
  await web.node('base: cancelled').waitFor();
  // Nothing of it had begun.
  await web.page.getByRole('article', { name: 'Machine vm' }).getByText('skipped').first().waitFor();
  await web.page.getByRole('status').getByText('cancelled').waitFor();
  expect(await web.page.getByRole('button', { name: 'Cancel build' }).count()).toBe(0);
  expect((await web.api.client.build(buildId)).state).toBe('cancelled');
  expect([...web.requested]).toEqual([web.api.url]);
  expect(web.complaints).toEqual([]);
});

test('is walked through with keys, and fits a phone', { timeout: 90_000 }, async () => {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  await web.api.work();
  await web.page.setViewportSize({ width: 360, height: 700 });
  await web.open(`/builds/${buildId}`);
  await web.node('child: succeeded').focus();
  await web.page.keyboard.press('Enter');
  await web.page.getByRole('heading', { name: 'child', exact: true }).waitFor();
  for (const path of [`/builds/${buildId}`, '/', '/images', '/runs', '/clusters']) {
    await web.page.goto(`${web.api.url}${path}`);
    await web.page.getByRole('heading', { level: 1 }).waitFor();
    await expect.poll(() => web.page.getByText('Loading…').count()).toBe(0);
    const widths = await web.page.evaluate('[document.documentElement.scrollWidth, innerWidth]');
    expect([path, widths]).toEqual([path, [360, 360]]);
    expect([path, await web.violations()]).toEqual([path, []]);
    await web.picture(path === '/' ? 'builds' : (path.split('/')[1] ?? ''));
    await web.page.setViewportSize({ width: 360, height: 700 });
  }
  expect(web.complaints).toEqual([]);
});
