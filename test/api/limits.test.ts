import { afterEach, expect, test } from 'vitest';
import { OPERATION_LIST } from '../../common/contracts/api/operations.ts';
import { problemDetailsSchema } from '../../common/contracts/problems.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { type LiveApi, MODULES, startApi } from './live-api.ts';

let api: LiveApi | undefined;

afterEach(() => api?.close());

async function expectTooMany(answer: Response, detail: unknown = expect.any(String)): Promise<void> {
  expect(answer.status).toBe(429);
  const problem = problemDetailsSchema.parse(await answer.json());
  expect(problem).toMatchObject({ status: 429, code: 'TooManyRequests', detail });
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
}

test('bounds requests by token, and refusals by address without touching valid tokens', async () => {
  api = await startApi({ requestsPerMinute: 5, refusalsPerMinute: 3 });
  const { token } = await api.client.createToken({ role: 'viewer' });
  for (let request = 2; request <= 5; request += 1) expect((await api.call('/api/v1/builds')).status).toBe(200);
  await expectTooMany(await api.call('/api/v1/builds'));
  expect((await api.call('/api/v1/builds', {}, token)).status).toBe(200);
  for (let guess = 1; guess <= 3; guess += 1) {
    expect((await api.call('/api/v1/builds', {}, `guess ${guess}`)).status).toBe(401);
  }
  await expectTooMany(await api.call('/api/v1/builds', {}, 'guess 4'));
  expect((await api.call('/api/v1/builds', {}, token)).status).toBe(200);
});

test('looks for no token of an address that has guessed too often, except for those that it knows', async () => {
  api = await startApi({ refusalsPerMinute: 3 });
  const { token } = await api.client.createToken({ role: 'viewer' });
  const made = (end: string) => `slipway_${end.padStart(43, 'x')}`;
  expect((await api.call('/api/v1/whoami', {}, token)).status).toBe(200);
  const asked: string[] = [];
  const monitor = await api.redis.monitor();
  monitor.on('monitor', (_time, args: string[], source: string) => source !== 'lua' && asked.push(args.join(' ')));
  for (const guess of ['not like a token', made('1'), made('2')]) {
    expect((await api.call('/api/v1/whoami', {}, guess)).status).toBe(401);
  }
  await expectTooMany(await api.call('/api/v1/whoami', {}, made('3')));
  await expectTooMany(await fetch(`${api.url}/api/v1/whoami`, { headers: { cookie: 'slipway_session=guess' } }));
  await expectTooMany(await fetch(`${api.url}/sign-in?code=guess`));
  expect((await api.call('/api/v1/whoami', {}, token)).status).toBe(200);
  await api.redis.ping();
  await expect.poll(() => asked.some((command) => /ping/i.test(command))).toBe(true);
  monitor.disconnect();
  const looked = asked.filter((command) => /^(evalsha|get|getdel) /i.test(command));
  // Two guesses, and the token that is known.
  expect(looked).toHaveLength(3);
});

test('reserves places for roles that may write, and gives no token all of them', async () => {
  api = await startApi({ streams: 5, streamsPerToken: 3 });
  await api.reset();
  const builder = await api.tokenOf('builder');
  const { buildId } = await api.as(builder).submit({ files: [{ path: 'a', text: MODULES }], variables: {} });
  const stream = (token: string) => api?.call(`/api/v1/builds/${buildId}/events`, {}, token) ?? Promise.reject();
  const viewers = await Promise.all(
    ['a', 'b'].map(async (name) => (await api?.client.createToken({ role: 'viewer', name }))?.token ?? ''),
  );
  const [first = '', second = ''] = viewers;
  for (let open = 0; open < 3; open += 1) expect((await stream(first)).status).toBe(200);
  await expectTooMany(
    await stream(first),
    'The token "a" has 3 streams of this scheduler already, and its limit is 3.',
  );
  expect((await stream(second)).status).toBe(200);
  await expectTooMany(
    await stream(second),
    'This scheduler serves 4 streams already, and the limit for the role viewer is 4.',
  );
  expect((await stream(builder)).status).toBe(200);
  api.cut();
});

test('bounds bodies, streams and unfinished layers', async () => {
  api = await startApi({ body: 2_000, streams: 1, layers: 2 });
  await api.reset();
  const submit = (body: string) => api?.call('/api/v1/builds', { method: 'POST', body }) ?? Promise.reject();
  const large = problemDetailsSchema.parse(await (await submit(MODULES + '#'.repeat(2_000))).json());
  expect(large).toMatchObject({ status: 413, code: 'RequestTooLarge' });
  const accepted = await submit(MODULES);
  const events = `${accepted.headers.get('location')}/events`;
  const leave = new AbortController();
  const stream = await api.call(events, { signal: leave.signal });
  expect(stream.status).toBe(200);
  await expectTooMany(await api.call(events));
  await expectTooMany(
    await submit(MODULES),
    '2 layers wait or are being built already, and the limit of the farm is 2.',
  );
  expect(await api.redis.zcard(KEYS.builds)).toBe(1);
  leave.abort();
  await expect
    .poll(async () => (await api?.call(`${events}?follow=true`, { signal: AbortSignal.timeout(500) }))?.status)
    .toBe(200);
  await api.work();
  expect((await submit(MODULES)).status).toBe(202);
});

const OUTWARD = `
name: outward
network: { vpcs: [{ name: lab, internet: build }], subnets: [{ name: net, vpc: lab, cidr: 10.9.0.0/24 }] }
vms: [{ name: vm, source: { blank: true } }]
`;

test('without a way out, refuses modules that ask for internet, and warns the others that they have none', async () => {
  api = await startApi({}, undefined, { network: { kind: 'kube-ovn', hasEgress: false } });
  await api.reset();
  for (const path of ['/api/v1/plan', '/api/v1/builds']) {
    const refused = await api.call(path, { method: 'POST', body: OUTWARD });
    expect(problemDetailsSchema.parse(await refused.json())).toMatchObject({
      ...{ status: 422, code: 'NetworkNotOffered' },
      detail: expect.stringContaining('has no externalSubnet, and the VPC "lab" asks for internet'),
    });
  }
  const automatic = 'name: desk\nvms: [{ name: vm, source: { blank: true } }]\n';
  const planned = await (await api.call('/api/v1/plan', { method: 'POST', body: automatic })).json();
  expect(planned).toMatchObject({ warnings: [expect.stringMatching(/^Module "desk" is built without internet/)] });
  const accepted = await (await api.call('/api/v1/builds', { method: 'POST', body: automatic })).json();
  expect(accepted).toMatchObject({ plan: { warnings: (planned as { warnings: unknown }).warnings } });
  const specs: unknown[] = [];
  await api.work({ onClaim: ({ spec }) => specs.push(spec.network.vpcs) });
  expect(specs[0]).toEqual([{ name: 'default', internet: false }]);
});

test('while Redis is away, reports it in its own words, and lets the token of the configuration in', async () => {
  api = await startApi();
  const { token } = await api.client.createToken({ role: 'viewer' });
  const { buildId } = await api.client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  api.redis.disconnect();
  const asked = OPERATION_LIST.filter(({ id, method }) => method === 'get' && !/^(stream|open)/.test(id))
    .map(({ path }) => path.replace('{id}', buildId).replace('{vm}', 'vm').replace('{image}', 'base:1'))
    .concat('/queues/api/queues');
  const unavailable: string[] = [];
  for (const path of asked) {
    const answer = await api.call(path);
    const text = await answer.text();
    expect([path, text]).toEqual([
      path,
      expect.not.stringMatching(/ioredis|Connection is closed|Stream isn't|\n\s+at /),
    ]);
    if (answer.status === 503) unavailable.push(path);
  }
  expect(unavailable).toEqual(expect.arrayContaining(['/api/v1/builds', '/api/v1/images']));
  const answer = await api.call('/api', {}, token);
  expect(problemDetailsSchema.parse(await answer.json())).toMatchObject({ status: 503, code: 'RedisUnavailable' });
  expect((await api.call('/api')).status).toBe(200);
  expect((await api.call('/readyz')).status).toBe(503);
});
