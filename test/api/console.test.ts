import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import { ConsoleRelays } from '../../scheduler/console/console-relays.ts';
import { openViewer } from '../harness/console-viewer.ts';
import { BY_HAND, LAB, type LiveApi, startApi, TOKEN } from './live-api.ts';

let api: LiveApi;
let buildId: string;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(async () => {
  await api.reset();
  buildId = (await api.client.submit({ files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} })).buildId;
});

afterAll(() => api.close());

const handbuild = async () => (await api.client.build(buildId)).modules[0]?.vms[0]?.handbuild;

/** Brings the build to its step and lets that wait, as its worker does. */
async function waiting(limitMs: number | null = null): Promise<{ claim: PhaseClaim; look: () => Promise<string> }> {
  const claim = await api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  expect(await api.store.lastPause(claim)).toBeNull();
  const about = { module: 'desk', vm: 'vm', step: 0, name: 'by hand', type: 'handbuild' };
  const event = { event: 'handbuild-waiting', ...about, instructions: 'Press Accept.' } as const;
  const look = async () => (await api.store.pause(claim, event, limitMs)).state;
  expect(await look()).toBe('waiting');
  return { claim, look };
}

test('a step waits, is seen to, and continues once', async () => {
  const { client: owner } = api;
  await expect(owner.continue(buildId, 'vm')).rejects.toMatchObject({ code: 'NotWaiting' });
  await expect(owner.continue(buildId, 'nobody')).rejects.toMatchObject({ code: 'NotFound' });
  const { look } = await waiting();
  expect(await handbuild()).toMatchObject({ step: 0, name: 'by hand', instructions: 'Press Accept.' });
  await expect(api.as(await api.tokenOf('viewer')).continue(buildId, 'vm')).rejects.toMatchObject({
    code: 'Forbidden',
  });
  const both = await Promise.allSettled([owner.continue(buildId, 'vm'), owner.continue(buildId, 'vm')]);
  expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  // Every viewer sees it, also a late one.
  expect([await look(), await look()]).toEqual(['continued', 'continued']);
  expect(await handbuild()).toBeNull();
  const outcomes = api.audited().map(({ what, outcome }) => `${what} ${outcome}`);
  expect(outcomes.filter((line) => line.startsWith('continue'))).toEqual([
    ...['continueHandbuild NotWaiting', 'continueHandbuild NotFound', 'continueHandbuild Forbidden'],
    ...['continueHandbuild continued', 'continueHandbuild NotWaiting'],
  ]);
});

/** What logs in to the machine of a build, and what decides about its step that waits. */
const ENTERING = [
  ['get', 'ssh-access'],
  ['get', 'ssh'],
  ['post', 'continue'],
  ['post', 'continue?answer=retry'],
  ['post', 'continue?answer=skip'],
  ['post', 'continue?answer=release'],
] as const;

test.each(ENTERING)('a builder who is not the owner is refused: %s %s', async (method, operation) => {
  const [owner, viewer] = [await api.tokenOf('builder'), await api.tokenOf('viewer')];
  const { token: other } = await api.client.createToken({ role: 'builder', name: 'other' });
  await api.client.cancel(buildId);
  const module = { files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} };
  ({ buildId } = await api.client.submit(module, { as: 'the-builder' }));
  const { look } = await waiting();
  const tried = async (token: string) => {
    const answer = await api.call(`/api/v1/builds/${buildId}/vms/vm/${operation}`, { method }, token);
    return (await answer.json()) as { readonly code?: string; readonly detail?: string };
  };
  const detail =
    'Only the owner of the build, "the-builder", and admins may log in to its machines and continue its steps.';
  expect(await tried(other)).toMatchObject({ code: 'Forbidden', detail });
  expect(await tried(viewer)).toMatchObject({ code: 'Forbidden' });
  expect(await look()).toBe('waiting');
  for (const may of [owner, TOKEN]) expect((await tried(may)).code).not.toBe('Forbidden');
});

test('a console takes keys from the owner of the build and from admins; everybody else looks', async () => {
  const [owner, viewer] = [await api.tokenOf('builder'), await api.tokenOf('viewer')];
  const { token: other } = await api.client.createToken({ role: 'builder', name: 'other' });
  await api.client.cancel(buildId);
  const module = { files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} };
  ({ buildId } = await api.client.submit(module, { as: 'the-builder' }));
  const attached = vi.spyOn(ConsoleRelays.prototype, 'attach');
  for (const token of [owner, TOKEN, other, viewer]) {
    const { machines } = api.as(token);
    for (const open of ['openConsole', 'openSerialConsole'] as const) {
      (await machines[open](buildId, 'vm')).destroy();
    }
  }
  const mayType = attached.mock.calls.map(([, , viewing]) => viewing.mayType);
  attached.mockRestore();
  expect(mayType).toEqual([true, true, true, true, false, false, false, false]);
});

test('reports the events of a step once, also when another worker takes it over', async () => {
  const { claim, look } = await waiting();
  const next = await api.store.claim(claim.job, 'w2');
  await expect(look()).rejects.toMatchObject({ code: 'Superseded' });
  if (!next) throw new Error('The job is still current.');
  const about = { module: 'desk', vm: 'vm', step: 0, name: 'by hand', type: 'handbuild' };
  const event = { event: 'handbuild-waiting', ...about, instructions: 'Press Accept.' } as const;
  expect(await api.store.lastPause(next)).toEqual({ step: 0, kept: null });
  expect(await api.store.pause(next, event, null)).toMatchObject({ state: 'waiting' });
  await api.client.continue(buildId, 'vm');
  expect(await api.store.pause(next, event, null)).toMatchObject({ state: 'continued' });
  const events: string[] = [];
  for await (const each of api.client.pastEvents(buildId)) events.push(each.event);
  expect(events.filter((name) => name === 'handbuild-waiting').length).toBe(1);
});

test('does not continue when its time is over, nor when the build was cancelled', async () => {
  const { look } = await waiting(1);
  await expect.poll(look).toBe('over');
  await expect(api.client.continue(buildId, 'vm')).rejects.toMatchObject({ code: 'NotWaiting' });
  expect(await look()).toBe('over');

  await api.reset();
  buildId = (await api.client.submit({ files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} })).buildId;
  const second = await waiting();
  const metrics = async () => (await api.call('/metrics')).text();
  expect(await metrics()).toContain(`slipway_handbuilds_waiting{cluster="${LAB.name}"} 1`);
  await api.client.cancel(buildId);
  await expect(api.client.continue(buildId, 'vm')).rejects.toMatchObject({ code: 'NotWaiting' });
  await expect(second.look()).rejects.toMatchObject({ code: 'Cancelled' });
  expect(await handbuild()).toBeNull();
  expect(await metrics()).toContain(`slipway_handbuilds_waiting{cluster="${LAB.name}"} 0`);
});

test('shows a console before there is a machine, until the build ends', async () => {
  const stream = await api.as(await api.tokenOf('viewer')).machines.openConsole(buildId, 'vm');
  const { session, screen } = await openViewer(stream);
  expect([screen.width, screen.height]).toEqual([720, 400]);
  expect(session.lost.aborted).toBe(false);
  await api.client.cancel(buildId);
  await expect.poll(() => session.lost.aborted).toBe(true);
  await expect(api.client.machines.openConsole(buildId, 'vm')).rejects.toMatchObject({ code: 'NotFound' });
});

test('lets a browser in by a subprotocol, and by the cookie only from a page of its own', async () => {
  const token = Buffer.from(TOKEN).toString('base64url');
  const bearer = `base64url.bearer.authorization.slipway.dev.${token}`;
  expect(await open({ protocols: ['binary', bearer] })).toBe('binary');
  expect(await open({ protocols: ['binary', `${bearer}x`] })).toBe(401);
  expect(await open({ protocols: ['binary'] })).toBe(401);
  const cookie = await api.signIn();
  expect(await open({ headers: { cookie, origin: api.url } })).toBe('binary');
  expect(await open({ headers: { cookie, origin: 'http://evil.example' } })).toBe(403);
  expect(await open({ headers: { cookie } })).toBe(403);
});

test.each([
  ['a VM that is not there', '/vms/nobody/vnc', 404],
  ['another path', '/vms/vm/nothing', 404],
  ['an unknown query', '/vms/vm/vnc?token=x', 400],
])('refuses a WebSocket to %s as any request', async (_, path, status) => {
  expect(await open({ headers: { authorization: `Bearer ${TOKEN}` }, path })).toBe(status);
});

interface Opening {
  readonly protocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
}

/** The subprotocol that was chosen, or the status of the refusal. */
async function open({ protocols = ['binary'], headers = {}, path = '/vms/vm/vnc' }: Opening): Promise<string | number> {
  const url = `${api.url.replace(/^http/, 'ws')}/api/v1/builds/${buildId}${path}`;
  const socket = new WebSocket(url, [...protocols], { headers });
  socket.on('error', () => {});
  const refused = once(socket, 'unexpected-response').then(([, response]) => response.statusCode as number);
  refused.catch(() => {});
  const outcome = await Promise.race([once(socket, 'open').then(() => socket.protocol), refused]);
  socket.terminate();
  return outcome;
}
