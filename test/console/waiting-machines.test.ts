import type { WebSocket } from 'playwright-core';
import { expect, test } from 'vitest';
import { BY_HAND } from '../api/live-api.ts';
import { HARMLESS, HOSTILE, SUBMISSION, useWebConsole } from './web-console.ts';

const web = useWebConsole();

/** Submits the module with a step for a person, and lets that wait as its worker does. */
async function waitingBuild(instructions: string) {
  const { buildId } = await web.api.client.submit({ files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} });
  const claim = await web.api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  const about = { module: 'desk', vm: 'vm', step: 0, name: 'by hand', type: 'handbuild' } as const;
  await web.api.store.emit(claim, { event: 'step-started', ...about });
  const pause = () => web.api.store.pause(claim, { event: 'handbuild-waiting', ...about, instructions }, null);
  const end = async () => {
    await web.api.store.emit(claim, {
      event: 'step-finished',
      ...about,
      outcome: 'succeeded',
      exitCode: null,
      durationMs: 1,
    });
    await web.api.finish(claim);
  };
  return { buildId, pause, end };
}

test('reports that a machine waits for a person, and an admin lets it continue', { timeout: 90_000 }, async () => {
  const { buildId, pause, end } = await waitingBuild(`Open Setup.\n${HOSTILE}`);
  await web.open(`/builds/${buildId}`, 'admin');
  await web.node('desk: provision').waitFor();
  await pause();
  await web.node('desk: waits for you').waitFor();
  await web.page.getByRole('status').getByText('desk/vm waits for a person').waitFor();
  const machine = web.page.getByRole('article', { name: 'Machine vm' });
  const byHand = machine.getByRole('region', { name: 'By hand' });
  await byHand.getByText('Step 1 by hand waits for you. It asked just now.').waitFor();
  const shown = byHand.locator('.instructions').evaluate((element) => Reflect.get(element, 'innerText'));
  expect(await shown).toBe(`Open Setup.\n${HARMLESS}`);
  expect(await web.page.locator('script, [onerror]').count()).toBe(1);
  await byHand.getByRole('button', { name: 'Continue' }).click();
  await byHand.getByRole('button', { name: 'Not yet' }).click();
  expect((await pause()).state).toBe('waiting');
  await machine.getByRole('row', { name: '1. by hand handbuild waits for you' }).waitFor();
  await byHand.getByRole('button', { name: 'Continue' }).click();
  await byHand.getByRole('button', { name: 'Yes, it is done' }).click();
  await web.node('desk: provision').waitFor();
  await expect.poll(() => byHand.count()).toBe(0);
  expect((await pause()).state).toBe('continued');
  await end();
  await machine.getByRole('row', { name: '1. by hand handbuild succeeded' }).getByRole('link').click();
  await expect.poll(() => new URL(web.page.url()).search).toBe('?log=desk%2Fvm&part=01-by-hand');
  expect(await web.page.getByRole('log').getByRole('heading').count()).toBe(1);
  expect([...web.requested]).toEqual([web.api.url]);
  expect(web.complaints).toEqual([]);
});

test.each(['viewer', 'builder'] as const)('shows a %s who is not the owner why no button is there', async (role) => {
  const { buildId, pause } = await waitingBuild('Press Accept.');
  await pause();
  await web.open(`/builds/${buildId}`, role);
  const byHand = web.page.getByRole('region', { name: 'By hand' });
  await byHand.getByText('Step 1 by hand waits for a person.').waitFor();
  await byHand.getByText('Press Accept.').waitFor();
  await byHand.getByText('The owner of the build (bootstrap) or an admin must do it').waitFor();
  expect(await byHand.getByRole('button').count()).toBe(0);
  expect(web.complaints).toEqual([]);
});

test('reports why a step does not continue', { timeout: 90_000 }, async () => {
  const { buildId, pause } = await waitingBuild('Press Accept.');
  await pause();
  await web.open(`/builds/${buildId}`, 'admin');
  const byHand = web.page.getByRole('region', { name: 'By hand' });
  await byHand.getByRole('button', { name: 'Continue' }).click();
  // The farm refuses for a reason that the page has not heard of.
  await web.page.route('**/continue?*', (route) =>
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
  web.page.on('websocket', (socket) => {
    sockets.push(socket.url());
    socket.on('framesent', ({ payload }) => typed.push(...keyOf(payload)));
  });
  await web.open(`/builds/${buildId}`, 'admin');
  await web.page.getByRole('link', { name: 'Watch' }).click();
  const dialog = web.page.getByRole('dialog', { name: 'Screen of desk/vm' });
  await dialog.getByText('View only: keyboard and mouse work while a step waits for a person.').waitFor();
  const canvas = dialog.locator('canvas');
  const sizes = () => canvas.evaluate((element) => ['width', 'height'].map((name) => Reflect.get(element, name)));
  await expect.poll(sizes).toEqual([720, 400]);
  await expect.poll(isDrawn).toBe(true);
  const [{ layerBuild = null } = {}] = (await web.api.client.build(buildId)).modules;
  const vnc = `/api/v1/builds/${buildId}/vms/vm/vnc?layerBuild=${layerBuild}`;
  expect(sockets).toEqual([`${web.api.url.replace('http:', 'ws:')}${vnc}`]);
  await canvas.click();
  await web.page.keyboard.press('a');
  await pause();
  await dialog.getByText('Keyboard and mouse work.').waitFor();
  await dialog.getByText('Press Accept.').waitFor();
  await dialog.getByRole('button', { name: 'Type' }).click();
  const focused = () => web.page.evaluate('document.activeElement.tagName');
  expect(await focused()).toBe('CANVAS');
  // These go to the machine.
  for (const key of ['Escape', 'Tab']) await web.page.keyboard.press(key);
  expect(await focused()).toBe('CANVAS');
  await web.page.keyboard.press('Shift+F12');
  expect(await focused()).toBe('BUTTON');
  // Nothing of before, no key of the way out, and none stays down.
  const escapes = ['ff1b down', 'ff1b up'];
  await expect.poll(() => typed).toEqual([...escapes, 'ff09 down', 'ff09 up', 'ffe1 down', 'ffe1 up']);
  await dialog.getByRole('button', { name: 'Continue' }).click();
  await dialog.getByRole('button', { name: 'Yes, it is done' }).click();
  await dialog.getByText('View only: keyboard and mouse work while a step waits for a person.').waitFor();
  await end();
  await web.api.work();
  await dialog.getByText('The machine is gone: its layer build has ended.').waitFor();
  await expect.poll(() => canvas.count()).toBe(0);
  await web.page.keyboard.press('Escape');
  await expect.poll(() => web.page.getByRole('dialog').count()).toBe(0);
  await expect.poll(() => new URL(web.page.url()).search).toBe('');
  expect(await web.page.getByRole('link', { name: 'Watch' }).count()).toBe(0);
  expect(sockets.length).toBe(1);
  expect([...web.requested]).toEqual([web.api.url]);
  expect(web.complaints).toEqual([]);
});

test('reports that there is no machine yet, and takes a cut screen up again', { timeout: 90_000 }, async () => {
  const { buildId } = await web.api.client.submit(SUBMISSION);
  await web.open(`/builds/${buildId}`, 'viewer');
  const sockets: WebSocket[] = [];
  web.page.on('websocket', (socket) => sockets.push(socket));
  await web.page.getByRole('link', { name: 'Watch' }).focus();
  await web.page.keyboard.press('Enter');
  const dialog = web.page.getByRole('dialog', { name: 'Screen of base/vm' });
  await dialog.getByText('The machine does not exist yet.').waitFor();
  web.api.cut();
  await dialog.getByText('The connection to the screen was lost; reconnecting.').waitFor();
  await dialog.getByText('The machine does not exist yet.').waitFor();
  expect(sockets.map((socket) => socket.isClosed())).toEqual([true, false]);
  await web.api.finish(await web.startPhase('base'));
  await web.startPhase('base');
  await dialog.getByText('View only: the owner of the build and admins may type.').waitFor();
  expect(await dialog.getByRole('button', { name: 'Type' }).count()).toBe(0);
  await dialog.getByRole('button', { name: 'Close' }).press('Enter');
  await expect.poll(() => sockets[1]?.isClosed()).toBe(true);
  expect(await web.page.getByRole('dialog').count()).toBe(0);
  expect(await web.page.evaluate('document.activeElement.textContent')).toBe('Watch');
});

/** The key event of RFB that a message is, as keysym and direction; none when it is another one. */
function keyOf(payload: string | Buffer): string[] {
  if (typeof payload === 'string' || payload[0] !== 4) return [];
  return [`${payload.readUInt32BE(4).toString(16)} ${payload[1] === 1 ? 'down' : 'up'}`];
}

/** Whether the screen that is shown has a picture: it is opaque, and black before there is a machine. */
function isDrawn(): Promise<boolean> {
  return web.page.evaluate(
    `document.querySelector('canvas').getContext('2d').getImageData(0, 0, 720, 400).data.every((byte, at) => byte === (at % 4 === 3 ? 255 : 0))`,
  );
}
