import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { packagePath, programCommand } from '../../common/config/package-root.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import { MAX_SECRET_BYTES } from '../../common/contracts/secrets.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { traces } from '../harness/traces.ts';
import { type LiveApi, startApi, TOKEN } from './live-api.ts';

const VALUE = 'correct horse "battery" staple';

let api: LiveApi;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(() => api.reset());

afterAll(() => api.close());

/** One module that names a secret in line 5. */
const submission = (secret: string) => ({
  files: [
    {
      path: 'lab.yaml',
      text: `name: lab\nvms:\n  - name: vm\n    source: { blank: true }\n    shutdownCommand: "off \${secret.${secret}}"\n`,
    },
  ],
  variables: {},
});

const keyOf = async (secret: string) => (await api.client.plan(submission(secret))).modules[0]?.layerKey;
const layerBuildOf = async (buildId: string) => (await api.client.build(buildId)).modules[0]?.layerBuild ?? '';

test('an admin sets and removes secrets, a builder sees their names and a viewer nothing', async () => {
  const [viewer, builder] = [api.as(await api.tokenOf('viewer')), api.as(await api.tokenOf('builder'))];
  expect(await api.client.setSecret('token', 'old')).toEqual({
    name: 'token',
    setBy: 'bootstrap',
    setAt: expect.any(Number),
  });
  await api.client.setSecret('token', VALUE);
  for (const client of [viewer, builder]) {
    await expect(client.setSecret('token', 'x')).rejects.toMatchObject({ code: 'Forbidden' });
    await expect(client.removeSecret('token')).rejects.toMatchObject({ code: 'Forbidden' });
  }
  await expect(viewer.secrets()).rejects.toMatchObject({ code: 'Forbidden' });
  expect(await builder.secrets()).toMatchObject([{ name: 'token', setBy: 'bootstrap' }]);
  await api.client.removeSecret('token');
  await expect(api.client.removeSecret('token')).rejects.toMatchObject({
    code: 'NotFound',
    details: { solve: expect.stringContaining('slipway secret list') },
  });
  expect(await builder.secrets()).toEqual([]);
  expect(await api.redis.exists(KEYS.secrets, KEYS.sealedSecrets)).toBe(0);
  const trail = api.audited().filter(({ what }) => /Secret/.test(what));
  expect(trail.map(({ who, what, outcome, subject }) => [who, what, outcome, subject])).toEqual([
    ['bootstrap', 'setSecret', 'created', 'token'],
    ['bootstrap', 'setSecret', 'replaced', 'token'],
    ['the-viewer', 'setSecret', 'Forbidden', undefined],
    ['the-viewer', 'removeSecret', 'Forbidden', undefined],
    ['the-builder', 'setSecret', 'Forbidden', undefined],
    ['the-builder', 'removeSecret', 'Forbidden', undefined],
    ['bootstrap', 'removeSecret', 'removed', 'token'],
    ['bootstrap', 'removeSecret', 'NotFound', undefined],
  ]);
  expect(traces(VALUE, JSON.stringify(api.audited()))).toEqual([]);
});

test('refuses what is not a value and what is not a name, without repeating it', async () => {
  const put = (name: string, body: string | Buffer<ArrayBuffer> | null) =>
    api.call(`/api/v1/secrets/${name}`, { method: 'PUT', body, headers: { 'content-type': 'application/json' } });
  const refusals = await Promise.all([
    put('a', null),
    put('a', ''),
    put('a', 'x\0hunter2'),
    put('a', Buffer.from([0x68, 0xff, 0x68])),
    put('a', 'x'.repeat(MAX_SECRET_BYTES + 1)),
    put('1a', 'hunter2'),
    put('a.b', 'hunter2'),
    put('__proto__', 'hunter2'),
    put('a'.repeat(129), 'hunter2'),
  ]);
  expect(refusals.map(({ status }) => status)).toEqual([400, 400, 400, 400, 413, 400, 400, 400, 400]);
  for (const refusal of refusals) expect(await refusal.text()).not.toContain('hunter2');
  expect(await api.client.secrets()).toEqual([]);
  expect((await put('a', '{"broken')).status).toBe(201);
  expect((await put('a', 'x'.repeat(MAX_SECRET_BYTES))).status).toBe(200);
});

test('a module that names a secret that there is not is refused at its place', async () => {
  await api.client.setSecret('token', VALUE);
  const problem = {
    file: 'lab.yaml',
    line: 5,
    column: 27,
    severity: 'error',
    code: 'UnknownSecret',
    message:
      'vms[0].shutdownCommand: the farm has no secret "tokn"; did you mean "token"?; an admin sets it with "slipway secret set tokn"',
  };
  for (const refused of [api.client.plan(submission('tokn')), api.client.submit(submission('tokn'))]) {
    await expect(refused).rejects.toMatchObject({ code: 'UnknownSecret', details: { problems: [problem] } });
  }
  await expect(api.client.submit(submission('tokn'))).rejects.toThrow(`lab.yaml:5:27: ${problem.message}`);
});

test('the same value is the same layer under any name, another value another one', async () => {
  await api.client.setSecret('token', VALUE);
  await api.client.setSecret('same', VALUE);
  const first = await keyOf('token');
  expect(await keyOf('same')).toBe(first);
  await api.client.submit(submission('token'));
  await api.work();
  await api.client.setSecret('token', VALUE);
  const again = await api.client.submit(submission('token'));
  expect(again.plan.modules).toMatchObject([{ action: 'reuse', layerKey: first }]);
  await api.client.setSecret('token', `${VALUE}!`);
  const changed = await api.client.submit(submission('token'));
  expect(changed.plan.modules).toMatchObject([{ action: 'build' }]);
  expect(changed.plan.modules[0]?.layerKey).not.toBe(first);
});

test('a build gets the value that its key was made from, also when the secret changes, and keeps it no longer', async () => {
  await api.client.setSecret('token', VALUE);
  const { buildId } = await api.client.submit(submission('token'));
  const layerBuild = await layerBuildOf(buildId);
  await api.client.setSecret('token', 'another');
  await api.client.removeSecret('token');
  const opened: Record<string, string> = {};
  await api.work({
    onClaim: (claim) => {
      for (const [name, sealed] of Object.entries(claim.secrets)) opened[name] = createFarmKey('key').open(sealed);
    },
  });
  expect(opened).toEqual({ token: VALUE });
  expect(await api.client.build(buildId)).toMatchObject({ state: 'succeeded' });
  expect(await api.redis.exists(KEYS.layerBuildSecrets(layerBuild))).toBe(0);
  await api.client.setSecret('token', VALUE);
  const cancelled = await api.client.submit(submission('token'), { noCache: true });
  const work = await layerBuildOf(cancelled.buildId);
  expect(await api.redis.hkeys(KEYS.layerBuildSecrets(work))).toEqual(['token']);
  await api.client.cancel(cancelled.buildId);
  expect(await api.redis.exists(KEYS.layerBuildSecrets(work))).toBe(0);
});

test('the command line takes values from standard input and files, and shows none', { timeout: 120_000 }, async () => {
  const slipway = async (args: readonly string[], input = '') => {
    const [node, main] = programCommand('cli/main');
    const child = spawn(node, [main, 'secret', ...args, '--url', api.url, '--token', TOKEN], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.end(input);
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { out: `${out}${err}`, code };
  };
  const opened = async (name: string) =>
    createFarmKey('key').open((await api.redis.hget(KEYS.sealedSecrets, name)) ?? '');
  const piped = await slipway(['set', 'token'], `${VALUE}\n`);
  expect(piped).toMatchObject({ code: 0, out: `The secret token is set. Modules name it as \${secret.token}.\n` });
  expect(await opened('token')).toBe(VALUE);
  const file = packagePath('LICENSE');
  const fromFile = await slipway(['set', 'licence', '--from-file', file]);
  expect(fromFile.out).toContain('Its last line break is part of it.');
  expect(await opened('licence')).toMatch(/\n$/);
  const list = await slipway(['list']);
  expect(list.out).toMatch(/^NAME +SET BY +SET\nlicence +bootstrap +\S+Z\ntoken +bootstrap +\S+Z\n$/);
  expect(await slipway(['set', 'empty'], '\n')).toMatchObject({ code: 1, out: expect.stringContaining('is empty') });
  expect(await slipway(['remove', 'token'])).toMatchObject({ code: 0 });
  expect((await api.client.secrets()).map(({ name }) => name)).toEqual(['licence']);
  for (const { out } of [piped, fromFile, list]) expect(traces(VALUE, out)).toEqual([]);
});
