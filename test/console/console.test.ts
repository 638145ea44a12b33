import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Browser, BrowserContext, Page, WebSocket } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import type { Failure } from '../../common/contracts/failures.ts';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import type { TokenRole } from '../../common/contracts/tokens.ts';
import { reportTrouble } from '../../common/redis/slots.ts';
import { BY_HAND, LAB, type LiveApi, MODULES, startApi } from '../api/live-api.ts';
import { startBrowser } from '../harness/browser.ts';
import { keepPicture, violationsOf } from '../harness/console-page.ts';

const WAIT_MS = 20_000;
const SUBMISSION = { files: [{ path: 'lab.yaml', text: MODULES }], variables: {} };
/** Output of a guest that attacks the viewer. */
const HOSTILE = '\u001b]0;owned\u0007<script>document.title="owned"</script><img src=x onerror=alert(1)> \u001b[31mred';
const HARMLESS = '<script>document.title="owned"</script><img src=x onerror=alert(1)> red';
/** One grey pixel. */
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==',
  'base64',
);

const folder = mkdtempSync(join(tmpdir(), 'slipway-console-'));
let api: LiveApi;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** Hosts that pages have asked, and complaints of pages. */
let asked: Set<string>;
let complaints: string[];

beforeAll(async () => {
  const root = packagePath('dashboards', 'console');
  await build({ root, configFile: join(root, 'vite.config.ts'), logLevel: 'warn', build: { outDir: folder } });
  api = await startApi({}, folder);
  browser = await startBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await api?.close();
  rmSync(folder, { recursive: true });
});

beforeEach(async () => {
  await api.reset();
  context = await browser.newContext();
  context.setDefaultTimeout(WAIT_MS);
  asked = new Set();
  complaints = [];
  context.on('request', (request) => asked.add(new URL(request.url()).origin));
  context.on('console', (message) => {
    // The browser itself reports every 404: a machine that has just started has no picture.
    const isNoPicture = message.location().url.includes('/screenshot') && message.text().includes('404');
    const isComplaint = message.type() === 'error' || message.type() === 'warning';
    if (isComplaint && !isNoPicture) complaints.push(message.text());
  });
  context.on('weberror', (error) => complaints.push(String(error.error())));
  page = await context.newPage();
});

afterEach(() => context.close());

/** Opens a page of the console with a role, by a link that signs in. */
async function open(path: string, role: TokenRole = 'builder'): Promise<void> {
  const { token } = await api.client.createToken({ role });
  await page.goto(`${await api.as(token).consoleLink()}&to=${path}`);
}

const violations = () => violationsOf(page);
const picture = (name: string) => keepPicture(page, name);

/** The ready phases, by their modules. */
async function startPhase(module: string): Promise<PhaseClaim> {
  const claims = await api.startReady();
  const claim = claims.find(({ spec }) => spec.module.name === module);
  if (!claim) throw new Error(`Nothing of ${module} is ready.`);
  return claim;
}

test('is small: the viewer of screens comes later', () => {
  const files = readdirSync(join(folder, 'assets')).filter((name) => name.endsWith('.js'));
  const scripts = files.map((name) => ({ name, text: readFileSync(join(folder, 'assets', name), 'utf8') }));
  for (const { text } of scripts) expect(text).not.toMatch(/\beval\(/);
  const page = readFileSync(join(folder, 'index.html'), 'utf8');
  const [first, ...others] = scripts.filter(({ name }) => page.includes(name));
  expect(others).toEqual([]);
  expect(gzipSync(first?.text ?? '').length).toBeLessThan(86_000);
  expect(scripts.length).toBe(2);
  expect(readFileSync(join(folder, 'assets', 'licenses.md'), 'utf8')).toContain('@novnc/novnc');
});

const node = (name: string) => page.getByRole('region', { name: 'Layers' }).getByRole('link', { name });

test('needs a token, and signs in and out', { timeout: 90_000 }, async () => {
  const { token } = await api.client.createToken({ role: 'viewer', name: 'somebody' });
  await page.goto(`${api.url}/images`);
  await page.getByLabel('Token').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('The token is not valid.').waitFor();
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Images' }).waitFor();
  await page.getByText('No images yet').waitFor();
  expect(new URL(page.url()).pathname).toBe('/images');
  expect(await page.evaluate('document.cookie')).toBe('');
  await page.getByText('somebody').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Token').waitFor();
  expect((await context.cookies()).map(({ name }) => name)).toEqual([]);
  expect([...asked]).toEqual([api.url]);
  // The browser's own messages about the answers 401.
  expect(complaints.filter((text) => !text.includes('401'))).toEqual([]);
});

test('shows a build live, from its first phase to its images', { timeout: 120_000 }, async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await open('/');
  await search('nowhere');
  await page.getByText('No build matches.').waitFor();
  await search('chil');
  await page.getByRole('link', { name: buildId }).click();
  await node('base: waiting, on the critical path').waitFor();
  await node('child: waiting, on base, on the critical path').waitFor();
  const imported = await startPhase('base');
  await node('base: import').waitFor();
  await api.finish(imported);
  await api.finish(await startPhase('base'));
  const provision = await startPhase('base');
  await node('base: provision').waitFor();
  const line = { event: 'log', phase: 'provision', source: 'step', module: 'base', vm: 'vm' } as const;
  await api.store.emit(provision, { ...line, line: HOSTILE });
  await page.getByRole('log').getByText(HARMLESS, { exact: true }).waitFor();
  await api.finish(provision);
  await api.finish(await startPhase('base'));
  await node('base: succeeded').waitFor();
  await node('child: waiting').click();
  await page.getByRole('heading', { name: 'child', exact: true }).waitFor();
  const machine = page.getByRole('article', { name: 'Machine vm' });
  await machine.getByText('waits for room').waitFor();
  await api.work();
  await node('child: succeeded').waitFor();
  await page.getByRole('status').getByText('succeeded').waitFor();
  await machine.getByText('snapshot', { exact: true }).waitFor();
  await page.getByLabel('Machine', { exact: true }).selectOption('child/vm');
  await page.getByRole('log').getByText('a "module":"line"').waitFor();
  expect(await page.getByRole('log').getByText(HARMLESS).count()).toBe(0);
  await page.getByRole('link', { name: 'Images' }).click();
  await page.getByRole('row', { name: /^child:1 current on base:1 vm/ }).waitFor();
  await reportTrouble(api.redis, LAB.name, null);
  await page.getByRole('link', { name: 'Clusters' }).click();
  await page.getByText('healthy').waitFor();
  expect(await page.title()).toBe('Clusters · Slipway');
  expect([...asked]).toEqual([api.url]);
  expect(complaints).toEqual([]);
});

async function search(text: string): Promise<void> {
  await page.getByLabel('Module or id').fill(text);
  await page.keyboard.press('Enter');
}

/** Makes `base` wait in its provision phase, after a step that printed something and failed, and in another one. */
async function steppedBuild(): Promise<string> {
  const { buildId } = await api.client.submit(SUBMISSION);
  const claim = await api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  const where = { module: 'base', vm: 'vm' };
  const say = (line: string) =>
    api.store.emit(claim, { event: 'log', ...where, phase: 'provision', source: 'step', line });
  const install = { ...where, step: 0, name: 'install it', type: 'shell' };
  const check = { ...where, step: 1, name: null, type: 'shell' };
  const took = { exitCode: 0, durationMs: 1 };
  await api.store.emit(claim, { event: 'step-started', ...install });
  for (const line of ['Reading lists', HOSTILE, 'Kernel PANIC (ignored)']) await say(line);
  await api.store.emit(claim, { event: 'step-finished', ...install, ...took, outcome: 'succeeded' });
  await api.store.emit(claim, { event: 'step-started', ...check });
  await say('All is well');
  return buildId;
}

test('heads the log by phase and step, searches, links and saves it', { timeout: 120_000 }, async () => {
  const buildId = await steppedBuild();
  await open(`/builds/${buildId}`, 'viewer');
  const log = page.getByRole('log', { name: 'Lines' });
  const headings = () => log.getByRole('heading').allTextContents();
  const lines = () => log.locator('.text').allTextContents();
  const all = ['Reading lists', HARMLESS, 'Kernel PANIC (ignored)', 'All is well'];
  await log.getByRole('heading', { name: /^base\/vm 1\. install it succeeded \d/ }).waitFor();
  await log.getByRole('heading', { name: /^base\/vm 2\. shell running \d/ }).waitFor();
  await log.getByRole('heading', { name: /^base\/vm provision running/ }).waitFor();
  await expect.poll(lines).toEqual(all);
  const search = page.getByLabel('Search the log');
  await search.fill('panic (');
  await page.getByText('1 of 4 lines').waitFor();
  expect(await lines()).toEqual(['Kernel PANIC (ignored)']);
  expect(await log.locator('mark').allTextContents()).toEqual(['PANIC (']);
  expect(await headings()).toEqual([expect.stringMatching(/^base\/vm 1\. install it ?succeeded/)]);
  await picture('log-search');
  expect(await violations()).toEqual([]);
  await search.fill('nowhere');
  await log.getByText('No line matches.').waitFor();
  await search.fill('');
  await expect.poll(lines).toEqual(all);
  // By keys: the heading leads to its step, whose address leads there again.
  await log.getByRole('link', { name: 'base/vm 1. install it' }).press('Enter');
  await expect.poll(lines).toEqual(all.slice(0, 3));
  expect(new URL(page.url()).search).toBe('?log=base%2Fvm&part=01-install-it');
  await page.reload();
  await expect.poll(lines).toEqual(all.slice(0, 3));
  await search.fill('KERNEL');
  await page.getByText('1 of 3 lines').waitFor();
  await search.press('Tab');
  const [saved] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  expect(saved.suggestedFilename()).toBe(`${buildId}-base-vm-01-install-it.log`);
  const time = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z';
  expect(readFileSync(await saved.path(), 'utf8')).toMatch(
    new RegExp(`^${time} == base/vm 1\\. install it \\(succeeded, .+\\)\\n${time} Kernel PANIC \\(ignored\\)\\n$`),
  );
  await search.fill('');
  await page.getByLabel('Phase or step').selectOption('2. shell');
  await expect.poll(lines).toEqual(['All is well']);
  await page.getByLabel('Phase or step').selectOption('all phases and steps');
  await expect.poll(lines).toEqual(all);
  await picture('log');
  const job = page.getByRole('article', { name: 'Machine vm' }).getByRole('link', { name: 'Its job' });
  const board = await context.newPage();
  await board.goto(`${api.url}${await job.getAttribute('href')}`);
  expect(new URL(board.url()).pathname).toMatch(/^\/queues\/queue\/provision--lab\/.+\.provision\.1$/);
  await board.getByRole('link', { name: 'Show it in the console' }).waitFor();
  await board.close();
  await page.setViewportSize({ width: 360, height: 700 });
  expect(await page.evaluate('[document.documentElement.scrollWidth, innerWidth]')).toEqual([360, 360]);
  expect(await violations()).toEqual([]);
  expect(await page.locator('script, [onerror]').count()).toBe(1);
  expect([...asked]).toEqual([api.url]);
  expect(complaints).toEqual([]);
});

test('stays quick with more lines than a page draws', { timeout: 90_000 }, async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  const time = new Date().toISOString();
  const line = { event: 'log', module: 'base', vm: 'vm', phase: 'provision', source: 'step', time };
  const events = [
    ...Array.from({ length: 20_000 }, (_, index) => ({ ...line, line: `line ${index}.` })),
    { event: 'build-finished', buildId, outcome: 'failed', durationMs: 1, modules: [], time },
  ];
  const body = events.map((event, index) => `id: ${index + 1}-0\ndata: ${JSON.stringify(event)}\n\n`).join('');
  await page.route('**/events*', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  await open(`/builds/${buildId}`);
  const log = page.getByRole('log', { name: 'Lines' });
  await log.getByText('line 19999.').waitFor();
  await page.getByText('18000 earlier lines are not shown.').waitFor();
  expect(await log.locator('.text').count()).toBe(2_000);
  const tookMs = await page.evaluate(`new Promise((done) => {
    const search = document.querySelector('input[aria-label="Search the log"]');
    const from = performance.now();
    search.value = 'LINE';
    search.dispatchEvent(new Event('input', { bubbles: true }));
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - from)));
  })`);
  await page.getByText('20000 of 20000 lines').waitFor();
  expect(tookMs).toBeLessThan(2_000);
  await page.getByRole('button', { name: 'Show 2000 more' }).click();
  await expect.poll(() => log.locator('.text').count()).toBe(4_000);
  await page.getByLabel('Search the log').fill('line 7.');
  expect(await log.locator('.text').allTextContents()).toEqual(['line 7.']);
});

test('continues where its stream was cut', { timeout: 90_000 }, async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await open(`/builds/${buildId}`);
  const claim = await startPhase('base');
  await node('base: import').waitFor();
  const line = { event: 'log', phase: 'import', source: 'import', module: 'base', vm: 'vm' } as const;
  await api.store.emit(claim, { ...line, line: 'before' });
  await page.getByRole('log').getByText('before').waitFor();
  api.cut();
  await page.getByText('The connection to the farm was lost').waitFor();
  await api.store.emit(claim, { ...line, line: 'after' });
  await api.finish(claim);
  await page.getByRole('log').getByText('after').waitFor();
  expect(await page.getByRole('log').getByText('before').count()).toBe(1);
  await node('base: waiting').waitFor();
  expect(await page.getByText('The connection to the farm was lost').count()).toBe(0);
});

test('explains a failure with all that was kept, as text', { timeout: 90_000 }, async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await open(`/builds/${buildId}`);
  const claim = await startPhase('base');
  await api.store.saveScreenshot(claim, PIXEL);
  const failure: Failure = {
    reason: 'GuestNeverAnswered',
    message: `It said ${HOSTILE}`,
    logTail: [HOSTILE],
    serialTail: [HOSTILE],
    hints: [],
    events: [`Warning ${HOSTILE}`],
    screenshot: true,
  };
  await api.store.commit(claim, { outcome: 'failed', failure });
  await node('base: failed').waitFor();
  await node('child: skipped').waitFor();
  const machine = page.getByRole('article', { name: 'Machine vm' });
  await machine.getByText('Look at the screenshot.').waitFor();
  for (const text of [`GuestNeverAnswered: It said ${HARMLESS}`, HARMLESS, `Warning ${HARMLESS}`]) {
    await machine.getByText(text, { exact: true }).first().waitFor();
  }
  await picture('failed-build');
  expect(await violations()).toEqual([]);
  await machine.getByRole('link', { name: 'phase import' }).click();
  expect(new URL(page.url()).search).toBe('?log=base%2Fvm&part=import');
  await machine.getByText('Screen, as it was kept').scrollIntoViewIfNeeded();
  const screen = machine.getByRole('img', { name: 'The screen of vm' });
  await screen.waitFor();
  await expect.poll(() => screen.evaluate((image) => Reflect.get(image, 'naturalWidth'))).toBe(1);
  expect(await page.locator('script, [onerror]').count()).toBe(1);
  expect(await page.title()).toContain(buildId);
  await page.getByRole('button', { name: 'Retry what did not succeed' }).click();
  await node('base: waiting').waitFor();
  expect(page.url()).not.toContain(buildId);
  expect([...asked]).toEqual([api.url]);
  expect(complaints).toEqual([]);
});

test('shows the wait of a phase and the serial output, and keeps it', { timeout: 90_000 }, async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await open(`/builds/${buildId}`, 'viewer');
  await api.finish(await startPhase('base'));
  const claim = await startPhase('base');
  const machine = page.getByRole('article', { name: 'Machine vm' });
  const about = { event: 'phase-waiting', module: 'base', vm: 'vm', phase: 'boot-keystrokes' } as const;
  const tried = { what: 'SSH 10.0.2.2:22', error: `no route to host${HOSTILE}`, tries: 34 };
  await api.store.emit(claim, { ...about, ...tried, elapsedMs: 12_000, leftMs: 288_000 });
  const words = `SSH 10.0.2.2:22: no route to host${HARMLESS}, 34 tries.`;
  await machine.getByText(words).waitFor();
  await machine.getByText(/Tried for 1\d\.\d s, given up in 4 min \d+ s\./).waitFor();
  await machine.getByRole('link', { name: 'Watch' }).click();
  const serial = page.getByRole('dialog').getByRole('log', { name: 'Serial port' });
  await serial.getByText('No output yet.').waitFor();
  await api.store.keepSerial(claim, { vmiUid: 'u', lines: ['SeaBIOS', HOSTILE], readBytes: 9 });
  await expect.poll(() => serial.textContent()).toBe(`SeaBIOS\n${HARMLESS}`);
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
  const hints = ['Its NIC has the model "e1000": set `model: virtio`.', 'Or its system configures another card.'];
  const tails = { logTail: [], events: [], serialTail: ['Debian GNU/Linux 13 vm ttyS0'], hints };
  const message = 'SSH login did not succeed within 300 s.';
  const failure = { reason: 'GuestNeverAnswered', message, screenshot: false, ...tails } as const;
  await api.store.commit(claim, { outcome: 'failed', failure });
  await node('base: failed').waitFor();
  await machine.getByText('Its NIC has the model "e1000": set model: virtio.').waitFor();
  await machine.getByText('Debian GNU/Linux 13 vm ttyS0').waitFor();
  expect(await machine.getByText(words).count()).toBe(0);
  await machine.getByText('skipped').first().waitFor();
  await machine.getByRole('link', { name: 'Serial port' }).click();
  await page.getByRole('dialog').getByText('The machine is gone: its layer build has ended').waitFor();
  await expect.poll(() => serial.textContent()).toBe(`SeaBIOS\n${HARMLESS}`);
  await page.setViewportSize({ width: 360, height: 700 });
  await page.keyboard.press('Escape');
  const widths = await page.evaluate('[document.documentElement.scrollWidth, innerWidth]');
  expect(widths).toEqual([360, 360]);
  // What was not built because of another module is not at fault, and reports which one is.
  await node('child: skipped').click();
  await page.getByText('Skipped. It starts from "base", which failed.').waitFor();
  await page.getByRole('link', { name: 'Builds' }).click();
  await page.getByTitle('child: skipped').waitFor();
  expect([...asked]).toEqual([api.url]);
  expect(complaints).toEqual([]);
});

test('a builder cancels a build, a viewer cannot', { timeout: 90_000 }, async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await open(`/builds/${buildId}`, 'viewer');
  await node('base: waiting').waitFor();
  await page.getByText('viewer', { exact: true }).waitFor();
  expect(await page.getByRole('button', { name: 'Cancel build' }).count()).toBe(0);
  const path = `/api/v1/builds/${buildId}/cancel`;
  const status = () => page.evaluate((to) => fetch(to, { method: 'POST' }).then((answer) => answer.status), path);
  expect(await status()).toBe(403);
  expect((await api.client.build(buildId)).state).toBe('queued');
  complaints = [];
  await context.clearCookies();
  await open(`/builds/${buildId}`);
  await page.getByRole('button', { name: 'Cancel build' }).click();
  await page.getByRole('button', { name: 'Yes, cancel it' }).click();
  await node('base: cancelled').waitFor();
  // Nothing of it had begun.
  await page.getByRole('article', { name: 'Machine vm' }).getByText('skipped').first().waitFor();
  await page.getByRole('status').getByText('cancelled').waitFor();
  expect(await page.getByRole('button', { name: 'Cancel build' }).count()).toBe(0);
  expect((await api.client.build(buildId)).state).toBe('cancelled');
  expect([...asked]).toEqual([api.url]);
  expect(complaints).toEqual([]);
});

/** Submits the module with a step for a person, and lets that wait as its worker does. */
async function waitingBuild(instructions: string) {
  const { buildId } = await api.client.submit({ files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} });
  const claim = await api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  const about = { module: 'desk', vm: 'vm', step: 0, name: 'by hand', type: 'handbuild' } as const;
  await api.store.emit(claim, { event: 'step-started', ...about });
  const pause = () => api.store.pause(claim, { event: 'handbuild-waiting', ...about, instructions }, null);
  const end = async () => {
    await api.store.emit(claim, {
      event: 'step-finished',
      ...about,
      outcome: 'succeeded',
      exitCode: null,
      durationMs: 1,
    });
    await api.finish(claim);
  };
  return { buildId, pause, end };
}

test('reports that a machine waits for a person, and an admin lets it continue', { timeout: 90_000 }, async () => {
  const { buildId, pause, end } = await waitingBuild(`Open Setup.\n${HOSTILE}`);
  await open(`/builds/${buildId}`, 'admin');
  await node('desk: provision').waitFor();
  await pause();
  await node('desk: waits for you').waitFor();
  await page.getByRole('status').getByText('desk/vm waits for a person').waitFor();
  const machine = page.getByRole('article', { name: 'Machine vm' });
  const byHand = machine.getByRole('region', { name: 'By hand' });
  await byHand.getByText('Step 1 by hand waits for you. It asked just now.').waitFor();
  const shown = byHand.locator('.instructions').evaluate((element) => Reflect.get(element, 'innerText'));
  expect(await shown).toBe(`Open Setup.\n${HARMLESS}`);
  expect(await page.locator('script, [onerror]').count()).toBe(1);
  await byHand.getByRole('button', { name: 'Continue' }).click();
  await byHand.getByRole('button', { name: 'Not yet' }).click();
  expect((await pause()).state).toBe('waiting');
  await machine.getByRole('row', { name: '1. by hand handbuild waits for you' }).waitFor();
  await byHand.getByRole('button', { name: 'Continue' }).click();
  await byHand.getByRole('button', { name: 'Yes, it is done' }).click();
  await node('desk: provision').waitFor();
  await expect.poll(() => byHand.count()).toBe(0);
  expect((await pause()).state).toBe('continued');
  await end();
  await machine.getByRole('row', { name: '1. by hand handbuild succeeded' }).getByRole('link').click();
  await expect.poll(() => new URL(page.url()).search).toBe('?log=desk%2Fvm&part=01-by-hand');
  expect(await page.getByRole('log').getByRole('heading').count()).toBe(1);
  expect([...asked]).toEqual([api.url]);
  expect(complaints).toEqual([]);
});

test.each(['viewer', 'builder'] as const)('shows a %s who is not the owner why no button is there', async (role) => {
  const { buildId, pause } = await waitingBuild('Press Accept.');
  await pause();
  await open(`/builds/${buildId}`, role);
  const byHand = page.getByRole('region', { name: 'By hand' });
  await byHand.getByText('Step 1 by hand waits for a person.').waitFor();
  await byHand.getByText('Press Accept.').waitFor();
  await byHand.getByText('The owner of the build (bootstrap) or an admin must do it').waitFor();
  expect(await byHand.getByRole('button').count()).toBe(0);
  expect(complaints).toEqual([]);
});

test('reports why a step does not continue', { timeout: 90_000 }, async () => {
  const { buildId, pause } = await waitingBuild('Press Accept.');
  await pause();
  await open(`/builds/${buildId}`, 'admin');
  const byHand = page.getByRole('region', { name: 'By hand' });
  await byHand.getByRole('button', { name: 'Continue' }).click();
  // The farm refuses for a reason that the page has not heard of.
  await page.route('**/continue?*', (route) =>
    route.continue({ url: route.request().url().replace('/vm/', '/nobody/') }),
  );
  await byHand.getByRole('button', { name: 'Yes, it is done' }).click();
  await byHand.getByRole('alert').getByText('VM "nobody" is not part of the build.').waitFor();
  await byHand.getByRole('button', { name: 'Continue' }).waitFor();
  expect((await pause()).state).toBe('waiting');
});

test('shows a screen to every viewer, and gives it the keyboard while a step waits', {
  timeout: 90_000,
}, async () => {
  const { buildId, pause, end } = await waitingBuild('Press Accept.');
  const sockets: string[] = [];
  const typed: string[] = [];
  page.on('websocket', (socket) => {
    sockets.push(socket.url());
    socket.on('framesent', ({ payload }) => typed.push(...keyOf(payload)));
  });
  await open(`/builds/${buildId}`, 'admin');
  await page.getByRole('link', { name: 'Watch' }).click();
  const dialog = page.getByRole('dialog', { name: 'Screen of desk/vm' });
  await dialog.getByText('View only: keyboard and mouse work while a step waits for a person.').waitFor();
  const canvas = dialog.locator('canvas');
  const sizes = () => canvas.evaluate((element) => ['width', 'height'].map((name) => Reflect.get(element, name)));
  await expect.poll(sizes).toEqual([720, 400]);
  await expect.poll(isDrawn).toBe(true);
  const [{ layerBuild = null } = {}] = (await api.client.build(buildId)).modules;
  const vnc = `/api/v1/builds/${buildId}/vms/vm/vnc?layerBuild=${layerBuild}`;
  expect(sockets).toEqual([`${api.url.replace('http:', 'ws:')}${vnc}`]);
  await canvas.click();
  await page.keyboard.press('a');
  await pause();
  await dialog.getByText('Keyboard and mouse work.').waitFor();
  await dialog.getByText('Press Accept.').waitFor();
  await dialog.getByRole('button', { name: 'Type' }).click();
  const focused = () => page.evaluate('document.activeElement.tagName');
  expect(await focused()).toBe('CANVAS');
  // These go to the machine.
  for (const key of ['Escape', 'Tab']) await page.keyboard.press(key);
  expect(await focused()).toBe('CANVAS');
  await page.keyboard.press('Shift+F12');
  expect(await focused()).toBe('BUTTON');
  // Nothing of before, no key of the way out, and none stays down.
  const escapes = ['ff1b down', 'ff1b up'];
  await expect.poll(() => typed).toEqual([...escapes, 'ff09 down', 'ff09 up', 'ffe1 down', 'ffe1 up']);
  await dialog.getByRole('button', { name: 'Continue' }).click();
  await dialog.getByRole('button', { name: 'Yes, it is done' }).click();
  await dialog.getByText('View only: keyboard and mouse work while a step waits for a person.').waitFor();
  await end();
  await api.work();
  await dialog.getByText('The machine is gone: its layer build has ended.').waitFor();
  await expect.poll(() => canvas.count()).toBe(0);
  await page.keyboard.press('Escape');
  await expect.poll(() => page.getByRole('dialog').count()).toBe(0);
  await expect.poll(() => new URL(page.url()).search).toBe('');
  expect(await page.getByRole('link', { name: 'Watch' }).count()).toBe(0);
  expect(sockets.length).toBe(1);
  expect([...asked]).toEqual([api.url]);
  expect(complaints).toEqual([]);
});

test('reports that there is no machine yet, and takes a cut screen up again', { timeout: 90_000 }, async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await open(`/builds/${buildId}`, 'viewer');
  const sockets: WebSocket[] = [];
  page.on('websocket', (socket) => sockets.push(socket));
  await page.getByRole('link', { name: 'Watch' }).focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Screen of base/vm' });
  await dialog.getByText('The machine does not exist yet.').waitFor();
  api.cut();
  await dialog.getByText('The connection to the screen was lost; reconnecting.').waitFor();
  await dialog.getByText('The machine does not exist yet.').waitFor();
  expect(sockets.map((socket) => socket.isClosed())).toEqual([true, false]);
  await api.finish(await startPhase('base'));
  await startPhase('base');
  await dialog.getByText('View only: typing needs the role builder.').waitFor();
  expect(await dialog.getByRole('button', { name: 'Type' }).count()).toBe(0);
  await dialog.getByRole('button', { name: 'Close' }).press('Enter');
  await expect.poll(() => sockets[1]?.isClosed()).toBe(true);
  expect(await page.getByRole('dialog').count()).toBe(0);
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Watch');
});

/** The key event of RFB that a message is, as keysym and direction; none when it is another one. */
function keyOf(payload: string | Buffer): string[] {
  if (typeof payload === 'string' || payload[0] !== 4) return [];
  return [`${payload.readUInt32BE(4).toString(16)} ${payload[1] === 1 ? 'down' : 'up'}`];
}

/** Whether the screen that is shown has a picture: it is opaque, and black before there is a machine. */
function isDrawn(): Promise<boolean> {
  return page.evaluate(
    `document.querySelector('canvas').getContext('2d').getImageData(0, 0, 720, 400).data.every((byte, at) => byte === (at % 4 === 3 ? 255 : 0))`,
  );
}

test('runs an image, shows its clones, and stops them; a viewer only looks', { timeout: 90_000 }, async () => {
  await api.client.submit(SUBMISSION);
  await api.work();
  api.keepTemplates(MODULES);
  await open('/images');
  const row = page.getByRole('row').filter({ hasText: /^base:1/ });
  await row.locator('summary[aria-label="Run base:1"]').click();
  await row.getByLabel('It runs for').fill('90m');
  await picture('images');
  expect(await violations()).toEqual([]);
  await row.getByRole('button', { name: 'Start a clone' }).click();
  await row.getByText('Starting: see Clones').waitFor();
  expect((await api.client.runs())[0]).toMatchObject({ image: 'base:1', ttlMs: 5_400_000 });
  await row.getByRole('link', { name: 'Clones' }).click();
  await page.getByText('is not up yet').waitFor();
  await api.work();
  await page.getByText('is up', { exact: true }).waitFor();
  await picture('clones');
  expect(await violations()).toEqual([]);
  // A clone is not listed among the builds.
  await page.getByRole('link', { name: 'Builds' }).click();
  await expect.poll(() => page.getByRole('row').count()).toBe(2);
  const viewer = await context.browser()?.newContext();
  const other = await viewer?.newPage();
  const { token } = await api.client.createToken({ role: 'viewer' });
  await other?.goto(`${await api.as(token).consoleLink()}&to=/runs`);
  await other?.getByText('is up', { exact: true }).waitFor();
  expect(await other?.getByRole('button', { name: 'Stop' }).count()).toBe(0);
  await viewer?.close();
  await page.getByRole('link', { name: 'Clones' }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Stop this clone of base:1' }).click();
  await page.getByText('No clones are running.').waitFor();
  expect(complaints).toEqual([]);
});

test('sets and removes tags, and prunes images for an admin', { timeout: 90_000 }, async () => {
  await api.client.submit(SUBMISSION);
  await api.work();
  await open('/images', 'admin');
  const row = page.getByRole('row').filter({ hasText: /^base:1/ });
  await row.locator('summary[aria-label="Tag base:1"]').click();
  await row.getByLabel('Tag', { exact: true }).fill('stable');
  await row.getByRole('button', { name: 'Set it' }).click();
  await row.getByText('@stable is version 1', { exact: true }).waitFor();
  await page.getByRole('row', { name: /^base:1 current @stable/ }).waitFor();
  await page.getByText('Remove old images').click();
  const pruning = page.locator('details[open]').filter({ hasText: 'Remove old images' });
  await pruning.getByLabel('Newest versions').fill('1');
  await pruning.getByRole('button', { name: 'Show what would go' }).click();
  await pruning.getByText('0 images would be removed.').waitFor();
  await picture('images-forms');
  expect(await violations()).toEqual([]);
  await row.getByRole('button', { name: 'Remove it from base' }).click();
  await row.getByText('@stable is removed', { exact: true }).waitFor();
  await page.getByRole('row', { name: /^base:1 current under/ }).waitFor();
  await row.locator('summary[aria-label="Remove base:1"]').click();
  await row.getByLabel('Even if it has a tag').check();
  await row.getByRole('button', { name: 'Remove base:1' }).click();
  await expect.poll(() => row.count()).toBe(0);
  expect(complaints).toEqual([]);
  await context.clearCookies();
  await open('/images');
  await page
    .getByRole('row')
    .filter({ hasText: /^child:1/ })
    .waitFor();
  expect(await page.getByText('Remove old images').count()).toBe(0);
});

test('is walked through with keys, and fits a phone', { timeout: 90_000 }, async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await api.work();
  await page.setViewportSize({ width: 360, height: 700 });
  await open(`/builds/${buildId}`);
  await node('child: succeeded').focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'child', exact: true }).waitFor();
  for (const path of [`/builds/${buildId}`, '/', '/images', '/runs', '/clusters']) {
    await page.goto(`${api.url}${path}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await expect.poll(() => page.getByText('Loading…').count()).toBe(0);
    const widths = await page.evaluate('[document.documentElement.scrollWidth, innerWidth]');
    expect([path, widths]).toEqual([path, [360, 360]]);
    expect([path, await violations()]).toEqual([path, []]);
    await picture(path === '/' ? 'builds' : (path.split('/')[1] ?? ''));
    await page.setViewportSize({ width: 360, height: 700 });
  }
  expect(complaints).toEqual([]);
});
