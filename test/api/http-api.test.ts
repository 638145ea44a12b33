import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { acceptedSchema, FarmClient } from '../../cli/client/farm-client.ts';
import { systemClock } from '../../common/clock/clock.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { problemDetailsSchema } from '../../common/contracts/problems.ts';
import { createGuardedAgent } from '../../common/fetch/address-guard.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createMetrics } from '../../common/metrics/farm-metrics.ts';
import { openRedis, useRedis } from '../../common/redis/connections.ts';
import { takeReady } from '../../common/redis/dispatches.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { advertise } from '../../common/redis/presence.ts';
import { reportTrouble } from '../../common/redis/slots.ts';
import { BuildService } from '../../scheduler/builds/build-service.ts';
import { PhaseQueues } from '../../scheduler/dispatch/queues.ts';
import { createApp } from '../../scheduler/http/app.ts';
import { OPERATIONS } from '../../scheduler/http/openapi.ts';
import { measureFarm } from '../../scheduler/measure.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { sampleLayerVm } from '../harness/sample-spec.ts';

const TOKEN = 'a token of the test';
const LAB = { name: 'lab', namespace: 'slipway', limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 16 * 1024 ** 3 } };
const MODULES = `
name: base
vms:
  - name: vm
    source: { blank: true }
    resources: { cpu: 1, memory: 1Gi }
    communicator: { type: ssh, sshUsername: root, sshPassword: open sesame }
---
name: child
vms:
  - name: vm
    source: { buildRef: { name: base } }
    resources: { cpu: 1, memory: 1Gi }
`;

const logger = createLogger({ name: 'test', level: 'silent' });
const resources = new ReleaseStack();
let server: RedisServer;
let redis: Awaited<ReturnType<typeof useRedis>>;
let store: ReturnType<typeof createPhaseStore>;
let client: FarmClient;
let url: string;

beforeAll(async () => {
  server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  redis = await useRedis(resources, { url: server.url, logger }, 'producer');
  const notices = await subscribeNotices(await useRedis(resources, { url: server.url, logger }, 'listener'), logger);
  store = createPhaseStore({ redis, notices });
  const queues = resources.use('queues', new PhaseQueues({ redis, logger }, [LAB.name]), (opened) => opened.close());
  const agent = createGuardedAgent({ allowPrivateAddresses: false });
  const builds = new BuildService({
    redis,
    agent,
    clock: systemClock,
    farmKey: createFarmKey('key'),
    clusters: [LAB],
    retentionMs: 60_000,
  });
  const metrics = createMetrics();
  const app = createApp({
    redis,
    queues,
    builds,
    logger,
    token: TOKEN,
    metrics,
    clusters: [LAB],
    isReady: () => true,
    measure: () => measureFarm(metrics, { redis, queues, clusters: [LAB], clock: systemClock, logger }),
    openListener: () => openRedis({ url: server.url, logger }, 'listener'),
    liveScreenshot: async () => null,
  });
  url = await listen(createServer(app));
  client = new FarmClient({ url, token: TOKEN });
});

beforeEach(async () => {
  await redis.flushall();
  for (const phase of PHASES) await advertise(redis, { worker: 'w', phase, cluster: LAB.name, capacity: 4 });
});

afterAll(() => resources.close());

async function listen(http: Server): Promise<string> {
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  resources.defer('http', async () => {
    http.closeAllConnections();
    http.close();
  });
  const address = http.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

function call(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${TOKEN}`, ...init.headers } });
}

const submit = (text: string, headers: Record<string, string> = {}) =>
  call('/api/v1/builds', { method: 'POST', body: text, headers: { 'content-type': 'application/yaml', ...headers } });

/** Executes whatever becomes ready until nothing does. */
async function work(): Promise<void> {
  for (;;) {
    const { jobs } = await takeReady(redis, { cluster: LAB.name, limits: LAB.limits });
    if (jobs.length === 0) return;
    for (const { reference } of jobs) {
      const claim = await store.claim(reference, 'w1');
      if (!claim) continue;
      const layerVm = sampleLayerVm(reference.vm, 's');
      if (reference.phase === 'provision') {
        const where = { module: claim.spec.module.name, vm: reference.vm };
        await store.emit(claim, {
          event: 'log',
          ...where,
          phase: 'provision',
          source: 'step',
          line: 'a "module":"line"',
        });
        await store.saveScreenshot(claim, Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff, 0x00]));
      }
      await store.commit(claim, { outcome: 'succeeded', ...(reference.phase === 'snapshot' ? { layerVm } : {}) });
    }
  }
}

test('lets nobody in without the token, except to the probes', async () => {
  for (const path of ['/api/v1/builds', '/metrics', '/queues', '/schemas/module.json', '/nowhere']) {
    const refused = await fetch(`${url}${path}`, { headers: { authorization: 'Bearer wrong' } });
    expect([path, refused.status]).toEqual([path, 401]);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect((await call(path)).status).toBe(path === '/nowhere' ? 404 : 200);
  }
  for (const path of ['/healthz', '/readyz']) expect((await fetch(`${url}${path}`)).status).toBe(200);
});

test('a link with the token becomes a cookie', async () => {
  const answer = await fetch(`${url}/queues?token=${encodeURIComponent(TOKEN)}&x=1`, { redirect: 'manual' });
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/queues?x=1']);
  const cookie = answer.headers.get('set-cookie') ?? '';
  expect(cookie).toContain('HttpOnly');
  const page = await fetch(`${url}/queues`, { headers: { cookie: cookie.split(';')[0] ?? '' } });
  expect(await page.text()).toContain('<title>');
});

test('builds what is submitted, tells how, and reuses it afterwards', async () => {
  const accepted = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  expect(accepted.plan.modules).toMatchObject([
    { name: 'base', action: 'build' },
    { name: 'child', action: 'build', dependsOn: ['base'] },
  ]);
  const [id = ''] = await redis.smembers(KEYS.living);
  expect(await redis.hget(KEYS.work(id), 'spec')).not.toContain('open sesame');
  const following = collect(client.events(accepted.buildId));
  await work();
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
  });
  const picture = await call(view.modules[0]?.vms[0]?.screenshot ?? '');
  expect([...new Uint8Array(await picture.arrayBuffer())]).toEqual([0x89, 0x50, 0x4e, 0x47, 0xff, 0x00]);
  expect(await client.images()).toMatchObject([
    { module: 'child', version: 1 },
    { module: 'base', version: 1 },
  ]);

  const again = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  expect(again.plan.modules.map(({ action }) => action)).toEqual(['reuse', 'reuse']);
  expect((await collect(client.events(again.buildId))).at(-1)).toMatchObject({ outcome: 'succeeded' });
  expect((await client.builds()).map(({ buildId, state }) => [buildId, state])).toEqual([
    [again.buildId, 'succeeded'],
    [accepted.buildId, 'succeeded'],
  ]);
  const fresh = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} }, { noCache: true });
  expect(fresh.plan.modules.map(({ action }) => action)).toEqual(['build', 'build']);
});

test('goes on with a stream where it was cut, and shows logs alone', async () => {
  const { buildId } = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  await work();
  const all = await collect(client.events(buildId));
  const half = all[Math.floor(all.length / 2)];
  const rest = await call(`/api/v1/builds/${buildId}/events`, { headers: { 'last-event-id': half?.id ?? '' } });
  const ids = [...(await rest.text()).matchAll(/^id: (.+)$/gm)].map(([, found]) => found);
  expect(ids).toEqual(all.slice(Math.floor(all.length / 2) + 1).map(({ id }) => id));
  const logs = await (await call(`/api/v1/builds/${buildId}/logs`)).text();
  expect([...logs.matchAll(/"event":"([a-z-]+)"/g)].map(([, event]) => event)).toEqual([
    'log',
    'log',
    'build-finished',
  ]);
});

test('answers after the end of the build where that is asked for', async () => {
  const answer = call('/api/v1/builds?wait=true', { method: 'POST', body: MODULES });
  await expect.poll(() => redis.scard(KEYS.living)).toBe(2);
  await work();
  expect(await (await answer).json()).toMatchObject({ state: 'succeeded', modules: { length: 2 } });
});

test('cancels a build', async () => {
  const { buildId } = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  await client.cancel(buildId);
  expect(await client.build(buildId)).toMatchObject({ state: 'cancelled', modules: [{ state: 'cancelled' }, {}] });
});

test('answers a repeated request under its key with the same build', async () => {
  const first = acceptedSchema.parse(await (await submit(MODULES, { 'idempotency-key': 'k' })).json());
  const second = acceptedSchema.parse(await (await submit(MODULES, { 'idempotency-key': 'k' })).json());
  expect(second.buildId).toBe(first.buildId);
  const other = await submit(MODULES.replace('cpu: 1', 'cpu: 2'), { 'idempotency-key': 'k' });
  expect(problemDetailsSchema.parse(await other.json())).toMatchObject({ status: 409, code: 'IdempotencyConflict' });
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
  expect(await redis.exists(KEYS.builds)).toBe(0);
});

test('refuses a body that is too large, and a query that means nothing', async () => {
  expect((await submit('x'.repeat(17 * 1024 ** 2))).status).toBe(413);
  expect((await call('/api/v1/builds?limit=many')).status).toBe(400);
  expect((await call('/api/v1/builds/01J00000000000000000000000')).status).toBe(404);
});

test('shows clusters with what is used of them and who works there', async () => {
  await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  await takeReady(redis, { cluster: LAB.name, limits: LAB.limits });
  await reportTrouble(redis, LAB.name, null);
  expect(await client.clusters()).toMatchObject([
    {
      name: 'lab',
      healthy: true,
      message: null,
      inUse: { imports: 1, vms: 0 },
      workers: { length: 4 },
      queues: { length: 4 },
    },
  ]);
  const text = await (await call('/metrics')).text();
  expect(text).toContain('slipway_cluster_used{cluster="lab",resource="imports"} 1');
  expect(text).toContain('slipway_layers_total{action="build"}');
});

test('describes every operation, and has every operation that it describes', async () => {
  const { paths } = (await (await call('/api/openapi.json')).json()) as { paths: Record<string, object> };
  expect(
    Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`)),
  ).toEqual(expect.arrayContaining(OPERATIONS.map(({ method, path }) => `${method} /api/v1${path}`)));
  for (const { method, path } of OPERATIONS) {
    const answer = await call(`/api/v1${path.replaceAll(/[{}]/g, '')}`, { method: method.toUpperCase() });
    expect(await answer.text()).not.toContain('There is nothing at');
  }
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
