import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { HARMLESS, HOSTILE, SUBMISSION, useWebConsole } from './web-console.ts';

const web = useWebConsole();

/** Makes `base` wait in its provision phase, after a step that printed something and failed, and in another one. */
async function steppedBuild(): Promise<string> {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  const claim = await web.api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  const where = { module: 'base', vm: 'vm' };
  const say = (line: string) =>
    web.api.store.emit(claim, { event: 'log', ...where, phase: 'provision', source: 'step', line });
  const install = { ...where, step: 0, name: 'install it', type: 'shell' };
  const check = { ...where, step: 1, name: null, type: 'shell' };
  const took = { exitCode: 0, durationMs: 1 };
  await web.api.store.emit(claim, { event: 'step-started', ...install });
  for (const line of ['Reading lists', HOSTILE, 'Kernel PANIC (ignored)']) await say(line);
  await web.api.store.emit(claim, { event: 'step-finished', ...install, ...took, outcome: 'succeeded' });
  await web.api.store.emit(claim, { event: 'step-started', ...check });
  await say('All is well');
  return buildId;
}

test('heads the log by phase and step, searches, links and saves it', { timeout: 120_000 }, async () => {
  const buildId = await steppedBuild();
  await web.open(`/builds/${buildId}`, 'viewer');
  const log = web.page.getByRole('log', { name: 'Lines' });
  const headings = () => log.getByRole('heading').allTextContents();
  const lines = () => log.locator('.text').allTextContents();
  const all = ['Reading lists', HARMLESS, 'Kernel PANIC (ignored)', 'All is well'];
  await log.getByRole('heading', { name: /^base\/vm 1\. install it succeeded \d/ }).waitFor();
  await log.getByRole('heading', { name: /^base\/vm 2\. shell running \d/ }).waitFor();
  await log.getByRole('heading', { name: /^base\/vm provision running/ }).waitFor();
  await expect.poll(lines).toEqual(all);
  const search = web.page.getByLabel('Search the log');
  await search.fill('panic (');
  await web.page.getByText('1 of 4 lines').waitFor();
  expect(await lines()).toEqual(['Kernel PANIC (ignored)']);
  expect(await log.locator('mark').allTextContents()).toEqual(['PANIC (']);
  expect(await headings()).toEqual([expect.stringMatching(/^base\/vm 1\. install it ?succeeded/)]);
  await web.picture('log-search');
  expect(await web.violations()).toEqual([]);
  await search.fill('nowhere');
  await log.getByText('No line matches.').waitFor();
  await search.fill('');
  await expect.poll(lines).toEqual(all);
  // By keys: the heading leads to its step, whose address leads there again.
  await log.getByRole('link', { name: 'base/vm 1. install it' }).press('Enter');
  await expect.poll(lines).toEqual(all.slice(0, 3));
  expect(new URL(web.page.url()).search).toBe('?log=base%2Fvm&part=01-install-it');
  await web.page.reload();
  await expect.poll(lines).toEqual(all.slice(0, 3));
  await search.fill('KERNEL');
  await web.page.getByText('1 of 3 lines').waitFor();
  await search.press('Tab');
  const [saved] = await Promise.all([web.page.waitForEvent('download'), web.page.keyboard.press('Enter')]);
  expect(saved.suggestedFilename()).toBe(`${buildId}-base-vm-01-install-it.log`);
  const time = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z';
  expect(readFileSync(await saved.path(), 'utf8')).toMatch(
    new RegExp(`^${time} == base/vm 1\\. install it \\(succeeded, .+\\)\\n${time} Kernel PANIC \\(ignored\\)\\n$`),
  );
  await search.fill('');
  await web.page.getByLabel('Phase or step').selectOption('2. shell');
  await expect.poll(lines).toEqual(['All is well']);
  await web.page.getByLabel('Phase or step').selectOption('all phases and steps');
  await expect.poll(lines).toEqual(all);
  await web.picture('log');
  const job = web.page.getByRole('article', { name: 'Machine vm' }).getByRole('link', { name: 'Its job' });
  const board = await web.context.newPage();
  await board.goto(`${web.api.url}${await job.getAttribute('href')}`);
  expect(new URL(board.url()).pathname).toMatch(/^\/queues\/queue\/provision--lab\/.+\.provision\.1$/);
  await board.getByRole('link', { name: 'Show it in the console' }).waitFor();
  await board.close();
  await web.page.setViewportSize({ width: 360, height: 700 });
  expect(await web.page.evaluate('[document.documentElement.scrollWidth, innerWidth]')).toEqual([360, 360]);
  expect(await web.violations()).toEqual([]);
  expect(await web.page.locator('script, [onerror]').count()).toBe(1);
  expect([...web.requested]).toEqual([web.api.url]);
  expect(web.complaints).toEqual([]);
});

test('stays quick with more lines than a page draws', { timeout: 90_000 }, async () => {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  const time = new Date().toISOString();
  const line = { event: 'log', module: 'base', vm: 'vm', phase: 'provision', source: 'step', time };
  const events = [
    ...Array.from({ length: 20_000 }, (_, index) => ({ ...line, line: `line ${index}.` })),
    { event: 'build-finished', buildId, outcome: 'failed', durationMs: 1, modules: [], time },
  ];
  const body = events.map((event, index) => `id: ${index + 1}-0\ndata: ${JSON.stringify(event)}\n\n`).join('');
  await web.page.route('**/events*', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  await web.open(`/builds/${buildId}`);
  const log = web.page.getByRole('log', { name: 'Lines' });
  await log.getByText('line 19999.').waitFor();
  await web.page.getByText('18000 earlier lines are not shown.').waitFor();
  expect(await log.locator('.text').count()).toBe(2_000);
  const tookMs = await web.page.evaluate(`new Promise((done) => {
    const search = document.querySelector('input[aria-label="Search the log"]');
    const from = performance.now();
    search.value = 'LINE';
    search.dispatchEvent(new Event('input', { bubbles: true }));
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - from)));
  })`);
  await web.page.getByText('20000 of 20000 lines').waitFor();
  expect(tookMs).toBeLessThan(2_000);
  await web.page.getByRole('button', { name: 'Show 2000 more' }).click();
  await expect.poll(() => log.locator('.text').count()).toBe(4_000);
  await web.page.getByLabel('Search the log').fill('line 7.');
  expect(await log.locator('.text').allTextContents()).toEqual(['line 7.']);
});

test('shows the wait of a phase and the serial output, and keeps it', { timeout: 90_000 }, async () => {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  await web.open(`/builds/${buildId}`, 'viewer');
  await web.api.finish(await web.startPhase('base'));
  const claim = await web.startPhase('base');
  const machine = web.page.getByRole('article', { name: 'Machine vm' });
  const about = { event: 'phase-waiting', module: 'base', vm: 'vm', phase: 'boot-keystrokes' } as const;
  const tried = { what: 'SSH 10.0.2.2:22', error: `no route to host${HOSTILE}`, tries: 34 };
  await web.api.store.emit(claim, { ...about, ...tried, elapsedMs: 12_000, leftMs: 288_000 });
  const words = `SSH 10.0.2.2:22: no route to host${HARMLESS}, 34 tries.`;
  await machine.getByText(words).waitFor();
  await machine.getByText(/Tried for 1\d\.\d s, given up in 4 min \d+ s\./).waitFor();
  await machine.getByRole('link', { name: 'Watch' }).click();
  const serial = web.page.getByRole('dialog').getByRole('log', { name: 'Serial port' });
  await serial.getByText('No output yet.').waitFor();
  await web.api.store.keepSerial(claim, { vmiUid: 'u', lines: ['SeaBIOS', HOSTILE], readBytes: 9 });
  await expect.poll(() => serial.textContent()).toBe(`SeaBIOS\n${HARMLESS}`);
  await web.page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
  const hints = ['Its NIC has the model "e1000": set `model: virtio`.', 'Or its system configures another card.'];
  const tails = { logTail: [], events: [], serialTail: ['Debian GNU/Linux 13 vm ttyS0'], hints };
  const message = 'SSH login did not succeed within 300 s.';
  const failure = { reason: 'GuestNeverAnswered', message, screenshot: false, ...tails } as const;
  await web.api.store.commit(claim, { outcome: 'failed', failure });
  await web.node('base: failed').waitFor();
  await machine.getByText('Its NIC has the model "e1000": set model: virtio.').waitFor();
  await machine.getByText('Debian GNU/Linux 13 vm ttyS0').waitFor();
  expect(await machine.getByText(words).count()).toBe(0);
  await machine.getByText('skipped').first().waitFor();
  await machine.getByRole('link', { name: 'Serial port' }).click();
  await web.page.getByRole('dialog').getByText('The machine is gone: its layer build has ended').waitFor();
  await expect.poll(() => serial.textContent()).toBe(`SeaBIOS\n${HARMLESS}`);
  await web.page.setViewportSize({ width: 360, height: 700 });
  await web.page.keyboard.press('Escape');
  const widths = await web.page.evaluate('[document.documentElement.scrollWidth, innerWidth]');
  expect(widths).toEqual([360, 360]);
  // What was not built because of another module is not at fault, and reports which one is.
  await web.node('child: skipped').click();
  await web.page.getByText('Skipped. It starts from "base", which failed.').waitFor();
  await web.page.getByRole('link', { name: 'Builds' }).click();
  await web.page.getByTitle('child: skipped').waitFor();
  expect([...web.requested]).toEqual([web.api.url]);
  expect(web.complaints).toEqual([]);
});
