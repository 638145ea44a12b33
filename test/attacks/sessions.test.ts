import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FarmClient } from '../../cli/client/farm-client.ts';
import type { TokenRole } from '../../common/contracts/tokens.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { hashToken } from '../../common/redis/tokens.ts';
import { newId } from '../harness/farm-state.ts';
import { type LoneScheduler, openLoneScheduler } from '../harness/lone-scheduler.ts';
import { dumpRedis } from '../harness/redis-dump.ts';
import { sampleModule } from '../harness/sample-spec.ts';

/*
 * The attacker has a place on the network, a link out of the history of a browser, a cookie, or a token that may do less. The
 * goal is to act as another user, or to keep the farm busy.
 */
const STREAMS = 5;
const STREAMS_PER_TOKEN = 2;
const REFUSALS = 5;

const resources = new ReleaseStack();
let scheduler: LoneScheduler;
let admin: FarmClient;
let redis: Redis;

beforeAll(async () => {
  const limits = { streams: STREAMS, streamsPerToken: STREAMS_PER_TOKEN, refusalsPerMinute: REFUSALS };
  ({ scheduler, admin, redis } = await openLoneScheduler(resources, { limits }));
}, 120_000);

afterAll(() => resources.close());

let names = 0;
async function tokenOf(role: TokenRole): Promise<{ name: string; token: string; client: FarmClient }> {
  const name = `${role}-${++names}`;
  const { token } = await admin.createToken({ role, name });
  return { name, token, client: new FarmClient({ url: scheduler.url, token }) };
}

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${scheduler.url}${path}`, { method, headers, redirect: 'manual' });
const whoami = async (cookie: string) => (await ask('/api/v1/whoami', { cookie })).status;

/** Opens a link as a browser does, and gives the cookie that it gets, if any. */
async function open(link: string): Promise<{ status: number; cookie: string; location: string }> {
  const answer = await fetch(link, { redirect: 'manual' });
  const [cookie = ''] = (answer.headers.get('set-cookie') ?? '').split('; ');
  return { status: answer.status, cookie, location: answer.headers.get('location') ?? '' };
}

test('a link out of the history of a browser opens nothing a second time, and holds no token', async ({ annotate }) => {
  const link = await admin.consoleLink();
  const first = await open(link);
  expect([first.status, await whoami(first.cookie)]).toEqual([303, 200]);
  const again = await open(link);
  expect([again.status, again.cookie]).toEqual([401, '']);
  for (const seen of [link, first.location, first.cookie]) expect(seen).not.toContain(scheduler.token);
  await annotate(`${again.status}, no cookie`);
});

test('a copied cookie is worth nothing once its owner has signed out', async ({ annotate }) => {
  const { cookie } = await open(await admin.consoleLink());
  const signedOut = await ask('/sign-out', { cookie, origin: scheduler.url }, 'POST');
  expect(signedOut.status).toBe(204);
  expect(await whoami(cookie)).toBe(401);
  await annotate('401');
});

test('a revoked token and its session are refused', async ({ annotate }) => {
  const { name, token, client } = await tokenOf('admin');
  const { cookie } = await open(await client.consoleLink());
  expect(await whoami(cookie)).toBe(200);
  await admin.revokeToken(name);
  expect(await whoami(cookie)).toBe(401);
  expect((await ask('/api/v1/whoami', { authorization: `Bearer ${token}` })).status).toBe(401);
  await annotate('401 for both');
});

test('a page of another host changes nothing with the session of its viewer', async ({ annotate }) => {
  const { cookie } = await open(await admin.consoleLink());
  const foreign = await ask('/api/v1/builds/01J/cancel', { cookie, origin: 'http://evil.example' }, 'POST');
  expect(foreign.status).toBe(403);
  await annotate('403');
});

test('a viewer builds nothing, a builder makes no tokens, and neither reads secrets', async ({ annotate }) => {
  const viewer = (await tokenOf('viewer')).client;
  const builder = (await tokenOf('builder')).client;
  const submission = {
    files: [{ path: 'm', text: 'name: m\nvms: [{ name: v, source: { blank: true } }]' }],
    variables: {},
  };
  const forbidden = { code: 'Forbidden' };
  await expect(viewer.submit(submission)).rejects.toMatchObject(forbidden);
  await expect(viewer.plan(submission)).rejects.toMatchObject(forbidden);
  for (const client of [viewer, builder]) {
    await expect(client.createToken({ role: 'admin' })).rejects.toMatchObject(forbidden);
    await expect(client.tokens()).rejects.toMatchObject(forbidden);
  }
  await expect(builder.submit(submission, { as: 'ann' })).rejects.toMatchObject(forbidden);
  await annotate('403 each time');
});

test('streams of one token stop at its share, and viewers leave places to roles that may write', async ({
  annotate,
}) => {
  const id = newId();
  const modules = [sampleModule({ name: 'm', layerKey: id, layerBuild: id, cluster: 'nowhere' })];
  await submitBuild(redis, { buildId: id, idempotencyKey: null, digest: id, retentionMs: 60_000, modules });
  const leave = new AbortController();
  const stream = ({ token }: { token: string }) => {
    const headers = { authorization: `Bearer ${token}` };
    return fetch(`${scheduler.url}/api/v1/builds/${id}/events`, { headers, signal: leave.signal });
  };
  const [first, second, third] = [await tokenOf('viewer'), await tokenOf('viewer'), await tokenOf('viewer')];
  const builder = await tokenOf('builder');
  // Each answer is held: a stream whose answer is garbage is closed with it.
  const answers: Response[] = [];
  for (const who of [first, first, first, second, second, third, builder]) answers.push(await stream(who));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429, 200, 200, 429, 200]);
  leave.abort();
  await annotate('429 from the third stream on; a builder still gets one');
});

test('nothing that opens the farm lies in Redis or in its log', async ({ annotate }) => {
  const { token, client } = await tokenOf('builder');
  const unused = new URL(await client.consoleLink()).searchParams.get('code') ?? '';
  const { cookie } = await open(await client.consoleLink());
  const kept = `${await dumpRedis(redis)}${readFileSync(scheduler.logFile, 'utf8')}`;
  expect(kept).toContain('session');
  for (const key of [token, scheduler.token, unused, cookie.split('=')[1] ?? '']) {
    expect(key.length).toBeGreaterThan(20);
    expect(kept).not.toContain(key);
  }
  await annotate('hashes');
});

// The last one: after it this address is known for its guesses.
test('guessed tokens, cookies and codes cost no look into Redis', async ({ annotate }) => {
  const known = await tokenOf('viewer');
  await known.client.builds();
  const guess = (index: number) => `slipway_${String(index).padStart(43, 'x')}`;
  const bearer = (token: string) => ask('/api/v1/whoami', { authorization: `Bearer ${token}` });
  for (let index = 0; index < REFUSALS; index += 1) await bearer(guess(index));
  const asked: string[] = [];
  const monitor = await redis.monitor();
  monitor.on('monitor', (_time, args: string[]) => asked.push(args.join(' ').toLowerCase()));
  const answers = [
    await bearer(guess(REFUSALS)),
    await ask('/api/v1/whoami', { cookie: `slipway_session=${guess(0)}` }),
    await ask(`/sign-in?code=${guess(0)}`),
  ];
  expect(answers.map(({ status }) => status)).toEqual([429, 429, 429]);
  await redis.ping();
  await expect.poll(() => asked).toContain('ping');
  monitor.disconnect();
  // What the scheduler asks by itself continues.
  const hashes = [guess(REFUSALS), guess(0)].map(hashToken);
  expect(asked.filter((command) => hashes.some((hash) => command.includes(hash)))).toEqual([]);
  // Who came with a good token before is let in all the same.
  await known.client.builds();
  await annotate('429, no lookup');
});
