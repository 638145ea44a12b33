import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LiveApi, startApi, TOKEN } from './live-api.ts';

const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const PAGE = '<!doctype html><script type="module" src="/assets/index-abc123.js"></script>';
const folder = mkdtempSync(join(tmpdir(), 'slipway-console-'));
let api: LiveApi;

beforeAll(async () => {
  mkdirSync(join(folder, 'assets'));
  writeFileSync(join(folder, 'index.html'), PAGE);
  writeFileSync(join(folder, 'assets', 'index-abc123.js'), 'export {};');
  writeFileSync(join(folder, 'secret.txt'), 'not an asset');
  api = await startApi({ refusalsPerMinute: 12 }, folder);
});

beforeEach(() => api.reset());

afterAll(async () => {
  await api.close();
  rmSync(folder, { recursive: true });
});

const signIn = (form: Record<string, string>, headers: Record<string, string> = { origin: api.url }) =>
  fetch(`${api.url}/sign-in`, { method: 'POST', body: new URLSearchParams(form), headers, redirect: 'manual' });

test.each(['/', '/builds/01J00000000000000000000000', '/images', '/runs', '/clusters'])(
  'serves the page of the console at %s, and asks for it again every time',
  async (path) => {
    const answer = await api.call(path);
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-cache']);
    expect(await answer.text()).toBe(PAGE);
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("style-src 'self';");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
  },
);

test.each([
  ['/builds', '/'],
  ['/builds/?state=failed&by=//evil.example', '/?state=failed&by=//evil.example'],
  ['/clones', '/runs'],
])('leads a browser from %s, which people type, to %s', async (path, page) => {
  const answer = await api.call(path, { redirect: 'manual', headers: BROWSER });
  expect([answer.status, answer.headers.get('location')]).toEqual([302, page]);
});

test('serves assets permanently, and nothing else of the folder', async () => {
  const asset = await api.call('/assets/index-abc123.js');
  expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  expect(asset.headers.get('content-type')).toContain('text/javascript');
  const others = ['/assets/other.js', '/assets/..%2fsecret.txt', '/secret.txt', '/index.html', '/assets/', '/build'];
  for (const path of others) expect([path, (await api.call(path)).status]).toEqual([path, 404]);
  expect((await fetch(`${api.url}/assets/index-abc123.js`)).status).toBe(401);
});

test('reports a missing console', async () => {
  const bare = await startApi({}, join(folder, 'nowhere'));
  try {
    const answer = await bare.call('/');
    expect(await answer.json()).toMatchObject({ status: 404, detail: expect.stringContaining('not compiled') });
  } finally {
    await bare.close();
  }
});

test('offers a form to a person without a token, and signs in with it', async () => {
  const form = await fetch(`${api.url}/builds/01J?x=%22%3Cb%3E`, { headers: BROWSER });
  const html = await form.text();
  expect([form.status, form.headers.get('content-type')]).toEqual([401, 'text/html; charset=utf-8']);
  expect(html).toContain('name="to" value="/builds/01J?x=%22%3Cb%3E"');
  expect(html).not.toMatch(/<script|<style|style=|https?:/);
  expect((await fetch(`${api.url}/sign-in.css`)).headers.get('content-type')).toContain('text/css');
  const { token } = await api.client.createToken({ role: 'viewer', name: 'somebody' });
  const signedIn = await signIn({ token: ` ${token}\n`, to: '/builds/01J?x=1' });
  expect([signedIn.status, signedIn.headers.get('location')]).toEqual([303, '/builds/01J?x=1']);
  const [cookie = '', ...attributes] = (signedIn.headers.get('set-cookie') ?? '').split('; ');
  expect(attributes).toEqual(expect.arrayContaining(['HttpOnly', 'SameSite=Strict', 'Path=/']));
  const identity = await fetch(`${api.url}/api/v1/whoami`, { headers: { cookie } });
  expect(await identity.json()).toEqual({ name: 'somebody', role: 'viewer' });
  const signedOut = await fetch(`${api.url}/sign-out`, { method: 'POST', headers: { cookie, origin: api.url } });
  expect([signedOut.status, signedOut.headers.get('set-cookie')]).toEqual([
    204,
    expect.stringMatching(/^slipway_session=; Path=\/; Expires=Thu, 01 Jan 1970/),
  ]);
});

test.each([
  '//evil.example/',
  '/\t/evil.example',
  '\\\\evil.example',
  'https://evil.example/',
  '/.//evil.example',
  '/\t/:x',
])('leads to no other host after signing in: %j', async (to) => {
  const location = (await signIn({ token: TOKEN, to })).headers.get('location') ?? '';
  expect(new URL(location, api.url).origin).toBe(api.url);
});

test('takes no form from a page of another host', async () => {
  for (const headers of [{ origin: 'http://evil.example' }, { origin: 'null' }, {}]) {
    const refused = await signIn({ token: TOKEN }, headers as Record<string, string>);
    expect([refused.status, refused.headers.get('set-cookie')]).toEqual([403, null]);
  }
});

test('a used link reports it, and how to get another one', async () => {
  const link = await api.client.consoleLink();
  expect((await fetch(link, { redirect: 'manual' })).status).toBe(303);
  const again = await fetch(link, { headers: BROWSER, redirect: 'manual' });
  expect([again.status, again.headers.get('set-cookie')]).toEqual([401, null]);
  expect(await again.text()).toContain('This link was used or has expired: slipway open creates a new one.');
});

test('counts wrong tokens of the form like those of requests', async () => {
  const wrong = await signIn({ token: 'wrong' });
  expect([wrong.status, await wrong.text()]).toEqual([401, expect.stringContaining('The token is not valid')]);
  const answers: number[] = [];
  for (let guess = 0; guess < 12; guess += 1) answers.push((await signIn({ token: `guess ${guess}` })).status);
  expect(answers.at(-1)).toBe(429);
  expect((await fetch(`${api.url}/api/v1/builds`)).status).toBe(429);
  expect((await signIn({ token: TOKEN })).status).toBe(303);
});
