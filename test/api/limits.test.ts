import { afterEach, expect, test } from 'vitest';
import { problemDetailsSchema } from '../../common/contracts/problems.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { type LiveApi, MODULES, startApi } from './live-api.ts';

let api: LiveApi | undefined;

afterEach(() => api?.close());

async function expectTooMany(answer: Response): Promise<void> {
  expect(problemDetailsSchema.parse(await answer.json())).toMatchObject({ status: 429, code: 'TooManyRequests' });
  expect(answer.status).toBe(429);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
}

test('bounds requests by token, and refusals by address without touching valid tokens', async () => {
  api = await startApi({ requestsPerMinute: 5, refusalsPerMinute: 3 });
  const { token } = await api.client.createToken({ role: 'viewer' });
  for (let request = 2; request <= 5; request += 1) expect((await api.call('/api/v1/builds')).status).toBe(200);
  await expectTooMany(await api.call('/api/v1/builds'));
  for (let guess = 1; guess <= 3; guess += 1) {
    expect((await api.call('/api/v1/builds', {}, `guess ${guess}`)).status).toBe(401);
  }
  await expectTooMany(await api.call('/api/v1/builds', {}, 'guess 4'));
  expect((await api.call('/api/v1/builds', {}, token)).status).toBe(200);
});

test('bounds bodies, streams and the layers in the making', async () => {
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
  await expectTooMany(await submit(MODULES));
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

test('without a way out, refuses who asks for internet, and tells the others that they go without', async () => {
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

test('while Redis is away, says so, and lets the token of the configuration in', async () => {
  api = await startApi();
  const { token } = await api.client.createToken({ role: 'viewer' });
  api.redis.disconnect();
  const answer = await api.call('/api', {}, token);
  expect(problemDetailsSchema.parse(await answer.json())).toMatchObject({ status: 503, code: 'RedisUnavailable' });
  expect((await api.call('/api')).status).toBe(200);
  expect((await api.call('/readyz')).status).toBe(503);
});
