import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { FarmClient } from '../../cli/client/farm-client.ts';
import { readAnswer } from '../../common/contracts/api/request.ts';
import { failureSchema } from '../../common/contracts/failures.ts';
import { valueOrNull } from '../../common/contracts/module/parsed.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { problemDetailsSchema } from '../../common/contracts/problems.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { collect, type LiveApi, MODULES, SECRET, startApi } from './live-api.ts';

let api: LiveApi;

let client: FarmClient;

beforeAll(async () => {
  api = await startApi();
  client = api.client;
});

beforeEach(() => api.reset());

afterAll(() => api.close());

const submit = (text: string, headers: Record<string, string> = {}) =>
  api.call('/api/v1/builds', {
    method: 'POST',
    body: text,
    headers: { 'content-type': 'application/yaml', ...headers },
  });

test('builds a submission, reports its progress, and reuses it afterwards', async () => {
  const accepted = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  expect(accepted.plan.modules).toMatchObject([
    { name: 'base', action: 'build' },
    { name: 'child', action: 'build', dependsOn: ['base'] },
  ]);
  const [id = ''] = await api.redis.smembers(KEYS.living);
  expect(await api.redis.hget(KEYS.layerBuild(id), 'spec')).not.toContain(SECRET);
  const following = collect(client.events(accepted.buildId));
  await api.work();
  const events = await following;
  expect(events.filter(({ event }) => event === 'module-finished')).toMatchObject([
    { module: 'base', outcome: 'succeeded', images: [{ vm: 'vm', snapshot: 's', cluster: 'lab' }] },
    { module: 'child', outcome: 'succeeded' },
  ]);
  expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
  const view = await client.build(accepted.buildId);
  expect(view).toMatchObject({
    state: 'succeeded',
    modules: [{ state: 'succeeded', vms: [{ phases: { length: 4 } }] }, {}],
    criticalPath: ['base', 'child'].flatMap((module) => PHASES.map((phase) => `${module}.vm.${phase}`)),
    lastEventId: events.at(-1)?.id,
  });
  const picture = await api.call(view.modules[0]?.vms[0]?.screenshot ?? '');
  expect([...new Uint8Array(await picture.arrayBuffer())]).toEqual([0x89, 0x50, 0x4e, 0x47, 0xff, 0x00]);
  expect(await client.images.list()).toMatchObject([
    { module: 'child', version: 1 },
    { module: 'base', version: 1 },
  ]);

  const again = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  expect(again.plan.modules.map(({ action }) => action)).toEqual(['reuse', 'reuse']);
  expect((await collect(client.events(again.buildId))).at(-1)).toMatchObject({ outcome: 'succeeded' });
  expect(await client.build(again.buildId)).toMatchObject({ criticalPath: [] });
  expect((await client.builds()).map(({ buildId, state }) => [buildId, state])).toEqual([
    [again.buildId, 'succeeded'],
    [accepted.buildId, 'succeeded'],
  ]);
  const fresh = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} }, { noCache: true });
  expect(fresh.plan.modules.map(({ action }) => action)).toEqual(['build', 'build']);
});

test('continues with a stream where it was cut, and shows logs alone', async () => {
  const { buildId } = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  await api.work();
  const all = await collect(client.events(buildId));
  const half = all[Math.floor(all.length / 2)];
  const rest = await api.call(`/api/v1/builds/${buildId}/events`, { headers: { 'last-event-id': half?.id ?? '' } });
  const ids = [...(await rest.text()).matchAll(/^id: (.+)$/gm)].map(([, found]) => found);
  expect(ids).toEqual(all.slice(Math.floor(all.length / 2) + 1).map(({ id }) => id));
  const logs = await (await api.call(`/api/v1/builds/${buildId}/logs`)).text();
  expect([...logs.matchAll(/"event":"([a-z-]+)"/g)].map(([, event]) => event)).toEqual([
    'log',
    'log',
    'build-finished',
  ]);
});

test('answers after the end of the build where that is asked for', async () => {
  const answer = api.call('/api/v1/builds?wait=true', { method: 'POST', body: MODULES });
  await expect.poll(() => api.redis.scard(KEYS.living)).toBe(2);
  await api.work();
  expect(await (await answer).json()).toMatchObject({ state: 'succeeded', modules: { length: 2 } });
});

test('skips what starts from a module that failed, and names it', async () => {
  const leaf = MODULES.split('---')[1]?.replace('name: child', 'name: leaf').replace('name: base', 'name: child');
  const { buildId } = await client.submit({ files: [{ path: 'a.yaml', text: `${MODULES}---${leaf}` }], variables: {} });
  const boot = await api.work({ until: 'boot-keystrokes' });
  if (!boot) throw new Error('The base was about to boot.');
  const failure = failureSchema.parse({ reason: 'GuestNeverAnswered', message: 'Silence.' });
  await api.store.commit(boot, { outcome: 'failed', failure });
  const { state, modules } = await client.build(buildId);
  const found = modules.map((module) => [
    ...[module.name, module.state, module.failure?.reason, module.failure?.message],
    module.vms[0]?.phases.map((phase) => phase.state),
  ]);
  const skipped = ['skipped', 'skipped', 'skipped', 'skipped'];
  expect([state, ...found]).toEqual([
    'failed',
    ['base', 'failed', 'GuestNeverAnswered', 'Silence.', ['succeeded', 'failed', 'skipped', 'skipped']],
    ['child', 'failed', 'ParentFailed', 'It starts from "base", which failed.', skipped],
    [
      ...['leaf', 'failed', 'ParentFailed'],
      'It starts from "child", which was not built because "base" failed.',
      skipped,
    ],
  ]);
  expect((await client.builds())[0]?.modules.map((module) => module.state)).toEqual(['failed', 'skipped', 'skipped']);
});

test('builds what did not succeed again, with the secrets that were submitted, on what is there', async () => {
  const { buildId } = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  await expect(client.retry(buildId)).rejects.toThrow('has not ended');
  let passwords: (string | null | undefined)[] = [];
  const boot = await api.work({ until: 'boot-keystrokes' });
  if (!boot) throw new Error('The base was about to boot.');
  passwords = [boot.spec.module.vms[0]?.communicator.sshPassword];
  const failure = failureSchema.parse({ reason: 'GuestNeverAnswered', message: 'Silence.' });
  await api.store.commit(boot, { outcome: 'failed', failure });
  const first = await client.retry(buildId);
  expect(first.plan.modules.map(({ name, action }) => `${name} ${action}`)).toEqual(['base build', 'child build']);
  let childBoots = 0;
  await api.work({
    onClaim: ({ spec, job }) => {
      if (spec.module.name === 'base') passwords.push(spec.module.vms[0]?.communicator.sshPassword);
      if (spec.module.name === 'child' && job.phase === 'boot-keystrokes') childBoots += 1;
    },
  });
  expect((await client.build(first.buildId)).state).toBe('succeeded');
  expect(childBoots).toBe(1);
  expect(passwords.map((sealed) => sealed && api.farmKey.open(sealed))).toEqual(Array(5).fill(SECRET));
  // The build that failed is what it was, and trying it again finds everything there.
  expect((await client.build(buildId)).state).toBe('failed');
  expect((await client.retry(buildId)).plan.modules.map(({ action }) => action)).toEqual(['reuse', 'reuse']);
  await expect(client.retry(first.buildId)).rejects.toThrow('Every module');
  await expect(api.as(await api.tokenOf('viewer')).retry(buildId)).rejects.toMatchObject({ code: 'Forbidden' });
});

test('cancels a build', async () => {
  const { buildId } = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  await client.cancel(buildId);
  expect(await client.build(buildId)).toMatchObject({ state: 'cancelled', modules: [{ state: 'cancelled' }, {}] });
});

test('answers a repeated request under its key with the same build', async () => {
  const first = readAnswer('submitBuild', 202, await (await submit(MODULES, { 'idempotency-key': 'k' })).json());
  const second = readAnswer('submitBuild', 202, await (await submit(MODULES, { 'idempotency-key': 'k' })).json());
  expect(second).toMatchObject({ value: { buildId: valueOrNull(first)?.buildId } });
  const other = await submit(MODULES.replace('cpu: 1', 'cpu: 2'), { 'idempotency-key': 'k' });
  expect(problemDetailsSchema.parse(await other.json())).toMatchObject({ status: 409, code: 'IdempotencyConflict' });
  // A key belongs to a token: what others take for theirs is neither found nor refused.
  const submission = { files: [{ path: 'lab.yaml', text: MODULES.replace('cpu: 1', 'cpu: 2') }], variables: {} };
  const others = await api.as(await api.tokenOf('builder')).submit(submission, { idempotencyKey: 'k' });
  expect(others.buildId).not.toBe(valueOrNull(first)?.buildId);
});

test.each([
  ['an unknown key', 'name: a\nvms: [{name: v, source: {blank: true}, memry: 1Gi}]', 422, 'InvalidModule'],
  ['an unknown parent', 'name: a\nvms: [{name: v, source: {buildRef: {name: ghost}}}]', 422, 'UnknownModule'],
  [
    'more than a cluster has',
    'name: a\nvms: [{name: v, source: {blank: true}, resources: {cpu: 99}}]',
    422,
    'ExceedsLimits',
  ],
  ['no module at all', '   ', 400, 'InvalidRequest'],
])('refuses %s with problem details', async (_what, text, status, code) => {
  const answer = await submit(text);
  const body = problemDetailsSchema.parse(await answer.json());
  expect([answer.status, body.code, typeof body.solve]).toEqual([status, code, 'string']);
  if (code !== 'InvalidRequest')
    expect(body.problems?.[0]).toMatchObject({ file: 'request.yaml', line: expect.any(Number) });
  expect(await api.redis.exists(KEYS.builds)).toBe(0);
});

test('refuses what is no JSON, or JSON of another form, with one sentence', async () => {
  const refusalOf = async (body: string) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await api.call('/api/v1/builds', { method: 'POST', headers, body });
    return problemDetailsSchema.parse(await answer.json());
  };
  expect(await refusalOf('{"files"')).toMatchObject({
    code: 'InvalidRequest',
    detail: expect.stringMatching(/^The body is not JSON: (?!SyntaxError).*\.$/s),
  });
  expect(await refusalOf('{"files":[{"path":"a"}]}')).toMatchObject({
    code: 'InvalidRequest',
    detail: expect.stringMatching(/^files\.0\.text: /),
  });
});

test('refuses a body that is too large, and a query that means nothing', async () => {
  expect((await submit('x'.repeat(17 * 1024 ** 2))).status).toBe(413);
  expect((await api.call('/api/v1/builds?limit=many')).status).toBe(400);
  expect((await api.call('/api/v1/builds/01J00000000000000000000000')).status).toBe(404);
});

test('returns the events up to now without following', async () => {
  const { buildId } = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  expect((await collect(client.pastEvents(buildId))).map(({ event }) => event)).toEqual(['build-accepted']);
});
