import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { LAB, type LiveApi, MODULES, SECRET, startApi, TOKEN } from './live-api.ts';

const SUBMISSION = { files: [{ path: 'lab.yaml', text: MODULES }], variables: {} };

let api: LiveApi;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(() => api.reset());

afterAll(() => api.close());

test('a link with a code becomes a session, which changes nothing from a page of another host', async () => {
  const link = await api.client.consoleLink();
  expect(link).not.toContain(encodeURIComponent(TOKEN));
  const answer = await fetch(`${link}&to=${encodeURIComponent('/queues?x=1')}`, { redirect: 'manual' });
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/queues?x=1']);
  const [cookie = '', ...attributes] = (answer.headers.get('set-cookie') ?? '').split('; ');
  expect(attributes).toEqual(expect.arrayContaining(['HttpOnly', 'SameSite=Strict']));
  expect(attributes).not.toContain('Secure');
  expect(await (await fetch(`${api.url}/queues`, { headers: { cookie } })).text()).toContain('<title>');
  const cancel = (headers: Record<string, string>) =>
    fetch(`${api.url}/api/v1/builds/01J/cancel`, { method: 'POST', headers: { cookie, ...headers } });
  expect((await cancel({ origin: 'http://evil.example' })).status).toBe(403);
  expect((await cancel({})).status).toBe(403);
  expect((await cancel({ origin: api.url })).status).toBe(404);
  // A path that begins with two slashes must not lead to the host it seems to name.
  const code = new URL(await api.client.consoleLink()).searchParams.get('code');
  const lines = await raw(`GET /sign-in?code=${code}&to=//evil.example/ HTTP/1.1`);
  expect(lines.find((line) => /^location:/i.test(line))).toMatch(/^location: \/(?!\/)/i);
});

test('a session knows no token, is sent with TLS only behind a proxy that has it, and ends with its token', async () => {
  const { token } = await api.client.createToken({ role: 'viewer', name: 'guest' });
  const link = await api.as(token).consoleLink();
  const headers = { 'x-forwarded-proto': 'https' };
  const answer = await fetch(link, { headers, redirect: 'manual' });
  const [cookie = '', ...attributes] = (answer.headers.get('set-cookie') ?? '').split('; ');
  expect(attributes).toContain('Secure');
  const whoami = async () => (await fetch(`${api.url}/api/v1/whoami`, { headers: { cookie } })).status;
  expect(await whoami()).toBe(200);
  const secret = cookie.split('=')[1] ?? '';
  for (const key of await api.redis.keys('*')) {
    if ((await api.redis.type(key)) !== 'string') continue;
    const kept = `${key} ${await api.redis.get(key)}`;
    for (const known of [secret, token, TOKEN]) expect(kept).not.toContain(known);
  }
  const lifetimes = await Promise.all((await api.redis.keys('*:session:*')).map((key) => api.redis.pttl(key)));
  expect(lifetimes).not.toEqual([]);
  for (const lifetime of lifetimes) expect(lifetime).toBeCloseTo(3_600_000, -5);
  await api.client.revokeToken('guest');
  expect(await whoami()).toBe(401);
});

test('signing out ends the session, also for a copied cookie', async () => {
  const cookie = await api.signIn();
  const signedOut = await fetch(`${api.url}/sign-out`, { method: 'POST', headers: { cookie, origin: api.url } });
  expect(signedOut.status).toBe(204);
  expect((await fetch(`${api.url}/api/v1/whoami`, { headers: { cookie } })).status).toBe(401);
});

async function raw(request: string): Promise<string[]> {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1');
  socket.write(`${request}\r\nhost: farm\r\nconnection: close\r\n\r\n`);
  return (await socket.setEncoding('utf8').toArray()).join('').split('\r\n');
}

test('pages ask no other host for anything, run no foreign script and are in no frame', async () => {
  for (const path of ['/queues', '/api', '/api/v1/builds', '/healthz']) {
    const answer = await api.call(path);
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/https?:|\*|script-src[^;]*unsafe/);
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    expect(answer.headers.get('x-powered-by')).toBeNull();
    const text = await answer.text();
    expect(text.match(/<(link|script|img)\b[^>]*(https?:)?\/\/[^>]*>/g)).toBeNull();
    for (const [, asset] of text.matchAll(/(?:src|href)="(static\/[^"]+)"/g)) {
      const style = await api.call(`/queues/${asset}`);
      expect([asset, style.status]).toEqual([asset, 200]);
      if (asset?.endsWith('.css')) expect(await style.text()).not.toMatch(/(@import|url\()\s*["']?(https?:)?\/\//);
    }
  }
});

test('the board of queues is for looking, at references of jobs alone', async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await api.work();
  const viewer = await api.tokenOf('viewer');
  const [known] = (await boardOf(viewer)).filter(({ counts }) => Object.values(counts).some((count) => count > 0));
  const name = known?.name ?? '';
  // More than the farm ever puts there.
  const queue = api.queues.all.find((candidate) => candidate.name === name);
  const [job] = (await queue?.getJobs()) ?? [];
  await job?.updateData({ ...job.data, sshPassword: SECRET });
  const { jobs = [] } = (await boardOf(viewer, name)).find((shown) => shown.name === name) ?? {};
  expect(jobs.length).toBeGreaterThan(0);
  for (const job of jobs)
    expect(Object.keys(job.data).toSorted()).toEqual(['dispatch', 'generation', 'layerBuild', 'phase', 'vm']);
  // A job leads to its build, module and VM.
  const shown = await api.call(jobs[0]?.externalUrl.href ?? '', { redirect: 'manual' }, viewer);
  expect([shown.status, shown.headers.get('location')]).toEqual([
    302,
    expect.stringMatching(`^/builds/${buildId}\\?module=(base|child)&log=(base|child)%2Fvm&part=[a-z-]+$`),
  ]);
  // And a machine to its newest job, or to the queue that has forgotten it.
  const { layerBuild } = jobs[0]?.data ?? {};
  const path = `/layer-builds/${layerBuild}/vms/vm/job`;
  const leadsTo = async () => (await api.call(path, { redirect: 'manual' }, viewer)).headers.get('location');
  const board = `/queues/queue/snapshot--${LAB.name}`;
  expect(await leadsTo()).toBe(`${board}/${layerBuild}.1.vm.snapshot.1`);
  expect((await api.call(path, {}, viewer)).status).toBe(200);
  const snapshots = api.queues.all.find((each) => each.name === `snapshot--${LAB.name}`);
  await snapshots?.remove(`${layerBuild}.1.vm.snapshot.1`);
  expect(await leadsTo()).toBe(board);
  expect((await api.call(`/layer-builds/${layerBuild}/vms/nobody/job`, {}, viewer)).status).toBe(404);
  for (const unknown of ['', '/vms/vm/job']) {
    expect((await api.call(`/layer-builds/01J00000000000000000000000${unknown}`, {}, viewer)).status).toBe(404);
  }
  for (const token of [viewer, TOKEN]) {
    const refused = await api.call(`/queues/api/queues/${name}/pause`, { method: 'PUT' }, token);
    expect(refused.status).toBe(403);
  }
});

const boardSchema = z.object({
  queues: z.array(
    z.object({
      name: z.string(),
      counts: z.record(z.string(), z.number()),
      jobs: z.array(z.object({ data: z.record(z.string(), z.unknown()), externalUrl: z.object({ href: z.string() }) })),
    }),
  ),
});

async function boardOf(token: string, activeQueue = '') {
  return boardSchema.parse(await (await api.call(`/queues/api/queues?activeQueue=${activeQueue}`, {}, token)).json())
    .queues;
}
