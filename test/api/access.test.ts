import { once } from 'node:events';
import { Command } from 'commander';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { register } from '../../cli/commands/token.ts';
import { readVersion, VERSION_HEADER } from '../../common/config/version.ts';
import { OPERATION_LIST } from '../../common/contracts/api/operations.ts';
import type { Owners } from '../../common/contracts/owners.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { hashToken } from '../../common/redis/tokens.ts';
import { BY_HAND, type LiveApi, METRICS_TOKEN, MODULES, SECRET, startApi, TOKEN } from './live-api.ts';

const SUBMISSION = { files: [{ path: 'lab.yaml', text: MODULES }], variables: {} };

let api: LiveApi;

beforeAll(async () => {
  const owners: Owners = new Map([
    ['tight', { weight: 1, layers: 1 }],
    ['tiny', { weight: 1, memoryBytes: 1024 ** 2 }],
  ]);
  api = await startApi({}, undefined, { owners });
});

beforeEach(() => api.reset());

afterAll(() => api.close());

test('refuses requests without a token, except to the probes', async () => {
  for (const path of ['/api/v1/builds', '/api', '/metrics', '/queues', '/schemas/module.json', '/nowhere']) {
    const refused = await fetch(`${api.url}${path}`, { headers: { authorization: 'Bearer wrong' } });
    expect([path, refused.status]).toEqual([path, 401]);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect((await api.call(path)).status).toBe(path === '/nowhere' ? 404 : 200);
  }
  const version = async (token: string) => {
    const answer = await fetch(`${api.url}/api/v1/builds`, { headers: { authorization: `Bearer ${token}` } });
    return answer.headers.get(VERSION_HEADER);
  };
  expect([await version('wrong'), await version(TOKEN)]).toEqual([null, readVersion()]);
  for (const path of ['/healthz', '/readyz']) expect((await fetch(`${api.url}${path}`)).status).toBe(200);
});

test('opens the metrics, and nothing else, to the token of the metrics', async () => {
  const ask = (path: string) => fetch(`${api.url}${path}`, { headers: { authorization: `Bearer ${METRICS_TOKEN}` } });
  const metrics = await ask('/metrics');
  expect([metrics.status, await metrics.text()]).toEqual([200, expect.stringContaining('slipway_')]);
  for (const { path } of OPERATION_LIST.filter(({ path, role }) => role !== null && path !== '/metrics')) {
    expect([path, (await ask(path)).status]).toEqual([path, 401]);
  }
});

test('lists the methods of a path', async () => {
  for (const [path, method, allowed] of [
    ['/api/v1/builds', 'DELETE', 'GET, HEAD, POST'],
    ['/api/v1/builds/01J00000000000000000000000', 'PUT', 'GET, HEAD'],
    ['/api', 'POST', 'GET, HEAD'],
  ] as const) {
    const answer = await api.call(path, { method });
    expect([answer.status, answer.headers.get('allow')], path).toEqual([405, allowed]);
    expect(await answer.json()).toMatchObject({ code: 'MethodNotAllowed', detail: expect.stringContaining(allowed) });
  }
});

test('an admin sends builds of others and urgent ones; a quota of layers holds for the owner that it is of', async () => {
  const builder = api.as(await api.tokenOf('builder'));
  await expect(builder.submit(SUBMISSION, { as: 'ann' })).rejects.toMatchObject({
    code: 'Forbidden',
    message: expect.stringContaining('builds of "ann"'),
  });
  await expect(builder.submit(SUBMISSION, { priority: 'high' })).rejects.toMatchObject({ code: 'Forbidden' });
  const { buildId } = await builder.submit(SUBMISSION, { as: 'the-builder', priority: 'low' });
  await builder.cancel(buildId);
  const admin = api.as(TOKEN);
  const quota = await admin.submit(SUBMISSION, { as: 'tight', priority: 'high' });
  expect(await admin.build(quota.buildId)).toMatchObject({ submittedBy: 'tight' });
  await expect(admin.submit(SUBMISSION, { as: 'tight' })).rejects.toMatchObject({
    code: 'TooManyRequests',
    message: expect.stringMatching(/of "tight" .* its quota is 1\.$/),
    details: { solve: expect.stringContaining('`owners[].layers`') },
  });
  await admin.cancel(quota.buildId);
});

test('a build larger than the quota of its owner is refused, not left to wait', async () => {
  const admin = api.as(TOKEN);
  await expect(admin.submit(SUBMISSION, { as: 'tiny' })).rejects.toMatchObject({ code: 'ExceedsLimits' });
});

test('a viewer looks, a builder builds, an admin makes tokens', async () => {
  const viewer = api.as(await api.tokenOf('viewer'));
  const builder = api.as(await api.tokenOf('builder'));
  await expect(viewer.submit(SUBMISSION)).rejects.toMatchObject({ code: 'Forbidden' });
  await expect(viewer.plan(SUBMISSION)).rejects.toMatchObject({ code: 'Forbidden' });
  expect(await api.redis.exists(KEYS.builds)).toBe(0);
  const { buildId } = await builder.submit(SUBMISSION);
  await expect(viewer.cancel(buildId)).rejects.toMatchObject({ code: 'Forbidden' });
  expect(await viewer.build(buildId)).toMatchObject({ state: 'queued', submittedBy: 'the-builder' });
  for (const client of [viewer, builder]) {
    await expect(client.createToken({ role: 'admin' })).rejects.toMatchObject({ code: 'Forbidden' });
    await expect(client.tokens()).rejects.toMatchObject({ code: 'Forbidden' });
    await expect(client.revokeToken('the-viewer')).rejects.toMatchObject({ code: 'Forbidden' });
  }
  await builder.cancel(buildId);
  expect(await viewer.build(buildId)).toMatchObject({ state: 'cancelled' });
});

test('a viewer reads no secret anywhere', async () => {
  const { buildId } = await api.client.submit(SUBMISSION);
  await api.work();
  const viewer = await api.tokenOf('viewer');
  const layerBuild = (await api.client.build(buildId)).modules[0]?.layerBuild ?? '';
  const spec = (await api.redis.hget(KEYS.layerBuild(layerBuild), 'spec')) ?? '';
  const sealed = /"sshPassword":"([^"]+)"/.exec(spec)?.[1] ?? '';
  expect(sealed).not.toBe('');
  const [queue] = await boardOf(viewer);
  const paths = OPERATION_LIST.filter(
    ({ method, role, answers }) => method === 'get' && role === 'viewer' && !answers[101],
  )
    .map(({ path, id }) => `${path}${id === 'streamSerial' ? `?layerBuild=${layerBuild}` : ''}`)
    .map((path) => path.replace('{id}', buildId).replace('{vm}', 'vm').replace('{image}', 'base:1'))
    .concat('/queues', `/queues/api/queues?activeQueue=${queue?.name}`);
  for (const path of paths) {
    const answer = await api.call(path, {}, viewer);
    const text = await answer.text();
    expect([path, answer.status]).toEqual([path, 200]);
    for (const secret of [SECRET, sealed, TOKEN, viewer]) expect(text).not.toContain(secret);
  }
});

test('keeps no token but its hash, refuses the revoked and the expired, and notes the last use', async () => {
  const { token } = await api.client.createToken({ role: 'viewer', name: 'ci', expires: '30d' });
  await expect(api.client.createToken({ role: 'viewer', name: 'ci' })).rejects.toMatchObject({ code: 'NameTaken' });
  await expect(api.client.createToken({ role: 'viewer', name: 'bootstrap' })).rejects.toMatchObject({
    code: 'NameTaken',
  });
  const { token: monthly } = await api.client.createToken({ role: 'viewer', name: 'monthly', expires: '720h' });
  const { token: eternal } = await api.client.createToken({ role: 'viewer' });
  for (const known of [token, monthly, eternal]) await api.as(known).builds();
  const listed = await api.client.tokens();
  expect(listed.map(({ name }) => name)).toEqual(['ci', 'monthly', expect.stringMatching(/^viewer-/)]);
  const use = { role: 'viewer', createdBy: 'bootstrap', lastUsedAt: expect.any(Number) };
  expect(listed).toMatchObject([use, use, { ...use, expiresAt: null }]);
  for (const { createdAt, expiresAt } of listed.slice(0, 2)) expect(expiresAt).toBe(createdAt + 30 * 86_400_000);
  for (const key of await api.redis.keys('*')) {
    if ((await api.redis.type(key)) !== 'hash') continue;
    expect(JSON.stringify([key, await api.redis.hgetall(key)])).not.toContain(token);
  }
  const { token: brief } = await api.client.createToken({ role: 'admin', name: 'brief', expires: '1ms' });
  const refusal = (known: string) =>
    api
      .as(known)
      .builds()
      .then(
        () => 'let in',
        ({ code }) => code,
      );
  await expect.poll(() => refusal(brief)).toBe('Unauthorized');
  expect((await api.client.tokens()).map(({ name }) => name)).not.toContain('brief');
  await api.client.revokeToken('ci');
  expect(await refusal(token)).toBe('Unauthorized');
  await expect(api.client.revokeToken('ci')).rejects.toMatchObject({
    code: 'NotFound',
    details: { solve: expect.stringContaining('slipway token list') },
  });
  expect(await api.as(eternal).builds()).toEqual([]);
  // Both names are free again.
  for (const name of ['ci', 'brief']) await api.client.createToken({ role: 'builder', name });
});

test('logs the caller, the change and its outcome', async () => {
  const viewer = api.as(await api.tokenOf('viewer'));
  const builder = api.as(await api.tokenOf('builder'));
  const { buildId } = await builder.submit(SUBMISSION);
  await viewer.cancel(buildId).catch(() => undefined);
  await api.client.cancel(buildId);
  await builder.submit({ ...SUBMISSION, files: [{ path: 'a', text: 'name: [' }] }).catch(() => undefined);
  await api.client.revokeToken('the-viewer');
  await builder.builds();
  const made = { who: 'bootstrap', role: 'admin', what: 'createToken', outcome: 'created' };
  expect(api.audited()).toMatchObject([
    { ...made, subject: 'the-viewer', subjectRole: 'viewer' },
    { ...made, subject: 'the-builder' },
    { who: 'the-builder', what: 'submitBuild', outcome: 'accepted', build: buildId, modules: ['base', 'child'] },
    { who: 'the-viewer', role: 'viewer', what: 'cancelBuild', outcome: 'Forbidden', build: buildId },
    { who: 'bootstrap', what: 'cancelBuild', outcome: 'cancelled', build: buildId },
    { who: 'the-builder', what: 'submitBuild', outcome: 'InvalidModule' },
    { who: 'bootstrap', what: 'revokeToken', outcome: 'revoked', subject: 'the-viewer' },
  ]);
  expect(JSON.stringify(api.audited())).not.toContain(TOKEN);
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

test('the command line makes, lists and revokes tokens', async () => {
  const slipway = async (...args: string[]) => {
    const written: string[] = [];
    const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => Boolean(written.push(String(text))));
    const note = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
    const program = new Command('slipway').exitOverride();
    register(program);
    await program
      .parseAsync(['token', ...args, '--url', api.url, '--token', TOKEN], { from: 'user' })
      .finally(() => [out, note].map((spy) => spy.mockRestore()));
    return written.join('').trim();
  };
  const token = await slipway('create', '--role', 'builder', '--name', 'laptop', '--expires', '30d');
  expect(await api.as(token).submit(SUBMISSION)).toMatchObject({ buildId: expect.any(String) });
  const listed = await slipway('list');
  expect(listed).toMatch(/laptop +builder /);
  expect(listed).not.toContain(token);
  expect(JSON.parse(await slipway('list', '--json')).tokens).toMatchObject([{ name: 'laptop', role: 'builder' }]);
  await slipway('revoke', 'laptop');
  await expect(api.as(token).builds()).rejects.toMatchObject({ code: 'Unauthorized' });
  await expect(slipway('create', '--role', 'owner')).rejects.toThrow(/viewer, builder, admin/);
});

/** Events of a build, over a token and over a browser's session of it, and a console of its machine: what lasts until it is cut. */
async function openWith(token: string) {
  const { buildId } = await api.client.submit({ files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} });
  const events = `/api/v1/builds/${buildId}/events`;
  const cookie = await api.signIn(token);
  const stream = await api.call(events, {}, token);
  const ofBrowser = await fetch(`${api.url}${events}`, { headers: { cookie } });
  const console = await api.as(token).machines.openConsole(buildId, 'vm');
  const lasting = { stream: stream.text(), browser: ofBrowser.text(), console: once(console.resume(), 'end') };
  const open = new Set(Object.keys(lasting));
  const ends = Object.entries(lasting).map(async ([name, end]: [string, Promise<unknown>]) => {
    await end.catch(() => undefined);
    open.delete(name);
  });
  return { cookie, open, ends: Promise.all(ends) };
}

test('what a token has open is cut when it is revoked, and nothing else', async () => {
  const openOf = async (name: string) => openWith((await api.client.createToken({ role: 'builder', name })).token);
  const [revoked, other] = [await openOf('leaver'), await openOf('stayer')];
  await api.client.revokeToken('leaver');
  await revoked.ends;
  expect(other.open.size).toBe(3);
  api.cut();
  await other.ends;
});

test('what a browser has open is cut soon after it signs out, and all of a token after it expires', async () => {
  const { token } = await api.client.createToken({ role: 'builder', name: 'brief', expires: '1h' });
  const held = await openWith(token);
  const { cookie } = held;
  expect((await fetch(`${api.url}/sign-out`, { method: 'POST', headers: { cookie, origin: api.url } })).ok).toBe(true);
  const open = () => {
    api.hurry();
    return [...held.open];
  };
  await expect.poll(open).toEqual(['stream', 'console']);
  await api.redis.pexpire(KEYS.token(hashToken(token)), 1);
  await expect.poll(open).toEqual([]);
  await held.ends;
});
