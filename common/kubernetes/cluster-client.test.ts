import { afterEach, expect, test } from 'vitest';
import { type Answer, json, refusal, type ScriptedApi, startScriptedApi } from '../../test/harness/api-server.ts';
import { LABELS } from '../contracts/object-keys.ts';
import { ClusterClient } from './cluster-client.ts';
import { screenshot, startMachine } from './machine-actions.ts';
import type { VirtualMachine } from './objects.ts';
import { openPortForward } from './port-forward.ts';
import { RESOURCES } from './resources.ts';
import { userAgent } from './user-agent.ts';

let api: ScriptedApi | undefined;

afterEach(async () => {
  await api?.close();
  api = undefined;
});

const pauses: number[] = [];
const recordingClock = { now: () => 0, after: async (ms: number) => void pauses.push(ms) };

async function connect(...answers: Answer[]): Promise<ClusterClient> {
  api = await startScriptedApi(...answers);
  pauses.length = 0;
  return new ClusterClient(api.config, { clock: recordingClock, random: () => 0 });
}

test('asks again while the cluster is unavailable, and waits as long as it asks for', async () => {
  const tooMany: Answer = (_request, response) => void response.writeHead(429, { 'retry-after': '3' }).end();
  const reset: Answer = (request) => void request.socket.resetAndDestroy();
  const found = json(200, { metadata: { name: 'a' } });
  const cluster = await connect(refusal(503, 'Unavailable'), tooMany, reset, found);
  expect(await cluster.get(RESOURCES.secrets, 'a')).toEqual({ metadata: { name: 'a' } });
  expect(pauses).toEqual([100, 3000, 400]);
});

test('gives up with ClusterUnavailable after its attempts', async () => {
  const cluster = await connect(refusal(500, 'InternalError', 'etcd is gone'));
  await expect(cluster.get(RESOURCES.secrets, 'a')).rejects.toMatchObject({
    code: 'ClusterUnavailable',
    message: expect.stringContaining('etcd is gone'),
  });
  expect(api?.requests).toHaveLength(6);
});

const VIRT_API_AWAY = refusal(
  500,
  'InternalError',
  'Internal error occurred: failed calling webhook "virtualmachines-mutator.kubevirt.io": failed to call webhook: ' +
    'no endpoints available for service "virt-api"',
);

test('waits for a webhook whose pod is being replaced, longer than for anything else, but not without end', async () => {
  let nowMs = 0;
  const clock = {
    now: () => nowMs,
    after: async (ms: number) => {
      nowMs += ms;
    },
  };
  const created = { metadata: { name: 'a' } };
  api = await startScriptedApi(...Array(10).fill(VIRT_API_AWAY), json(201, created));
  const cluster = new ClusterClient(api.config, { clock, random: () => 0 });
  expect(await cluster.create(RESOURCES.machines, created as VirtualMachine)).toEqual(created);
  expect(nowMs).toBeGreaterThan(20_000);
  await api.close();
  api = await startScriptedApi(VIRT_API_AWAY);
  nowMs = 0;
  const lost = new ClusterClient(api.config, { clock, random: () => 0 });
  await expect(lost.create(RESOURCES.machines, created as VirtualMachine)).rejects.toMatchObject({
    code: 'ClusterUnavailable',
    message: expect.stringContaining('no endpoints available for service "virt-api"'),
  });
  expect(nowMs).toBeGreaterThan(60_000);
  expect(nowMs).toBeLessThan(180_000);
});

test.each([
  ['by its name', refusal(409, 'AlreadyExists')],
  ['by a quota, which counts it already', refusal(403, 'Forbidden', 'secrets "a" is forbidden: exceeded quota: q')],
])('takes the object of the first creator, when ours is refused %s', async (_how, refused) => {
  const theirs = { metadata: { name: 'a', uid: 'theirs' } };
  const cluster = await connect(refused, json(200, theirs));
  expect(await cluster.createIfAbsent(RESOURCES.secrets, { metadata: { name: 'a' } })).toEqual(theirs);
});

test.each([
  ['another role', { [LABELS.role]: 'template', [LABELS.layerBuild]: '01j1' }, 'slipway.dev/role'],
  ['another layer build', { [LABELS.role]: 'build', [LABELS.layerBuild]: '01j2' }, 'slipway.dev/layer-build'],
  ['no labels of the farm', {}, 'slipway.dev/layer-build'],
])('does not take an object of %s for ours, though it has the name', async (_whose, labels, label) => {
  const theirs = json(200, { kind: 'Secret', metadata: { name: 'a', labels } });
  const cluster = await connect(refusal(409, 'AlreadyExists'), theirs);
  const ours = { metadata: { name: 'a', labels: { [LABELS.role]: 'build', [LABELS.layerBuild]: '01j1' } } };
  const refused = expect(cluster.createIfAbsent(RESOURCES.secrets, ours)).rejects;
  await refused.toMatchObject({ status: 409, message: expect.stringContaining(`its label ${label} would be`) });
});

test.each([
  ['a refusal by admission', 403, 'admission webhook "x" denied the request: no', { name: 'ApiError', status: 403 }],
  ['a fault of the object', 422, 'spec.x: Required value', { name: 'ApiError', status: 422 }],
  ['a missing right', 403, 'secrets is forbidden: User "u" cannot create', { code: 'ClusterUnfit' }],
  ['an exceeded quota', 403, 'pods "a" is forbidden: exceeded quota: q', { code: 'NoCapacity' }],
  [
    'a quota that wants limits',
    403,
    'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: relay',
    { code: 'NoCapacity' },
  ],
  ['a LimitRange', 403, 'pods "a" is forbidden: maximum cpu usage per Container is 1, but limit is 2', { status: 403 }],
  [
    'a namespace that goes',
    403,
    'secrets "a" is forbidden: unable to create new content in namespace n because it is being terminated',
    { status: 403 },
  ],
  [
    'an absent ServiceAccount',
    403,
    'pods "a" is forbidden: error looking up service account n/s: serviceaccount "s" not found',
    { status: 403 },
  ],
  ['an absent PriorityClass', 403, 'pods "a" is forbidden: no PriorityClass with name high was found', { status: 403 }],
  [
    'a validating policy',
    403,
    "secrets \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
    { status: 403 },
  ],
])("reports %s in the server's words, once", async (_case, status, message, expected) => {
  const cluster = await connect(refusal(status, 'Invalid', message));
  await expect(cluster.create(RESOURCES.secrets, { metadata: { name: 'a' } })).rejects.toMatchObject({
    ...expected,
    message: expect.stringContaining(message),
  });
  expect(api?.requests).toHaveLength(1);
});

test('asks for strictness, and hands on what the server warns of', async () => {
  const warned: string[] = [];
  api = await startScriptedApi((request, response, url) => {
    response.setHeader('Warning', ['299 - "unknown field \\"spec.natGateway\\""', '299 - "old, but \\"kept\\""']);
    json(201, { metadata: { name: 'a' } })(request, response, url);
  });
  const observer = { warning: (cluster: string, text: string) => void warned.push(`${cluster}: ${text}`) };
  const cluster = new ClusterClient(api.config, { observer });
  await cluster.create(RESOURCES.vpcs, { metadata: { name: 'a' } });
  await cluster.mergePatch(RESOURCES.vpcs, 'a', {});
  expect(api.requests).toEqual([
    'POST /apis/kubeovn.io/v1/vpcs?fieldValidation=Strict',
    'PATCH /apis/kubeovn.io/v1/vpcs/a?fieldValidation=Strict',
  ]);
  expect(warned.slice(0, 2)).toEqual(['test: unknown field "spec.natGateway"', 'test: old, but "kept"']);
});

test('lists all pages and types their items', async () => {
  const page = (name: string, next?: string) =>
    json(200, { metadata: { resourceVersion: '7', continue: next }, items: [{ metadata: { name } }] });
  const cluster = await connect(page('a', 'more'), page('b'));
  const { items } = await cluster.list(RESOURCES.vpcs, { labels: { x: 'y' } });
  expect(items.map(({ kind, metadata }) => `${kind}/${metadata?.name}`)).toEqual(['Vpc/a', 'Vpc/b']);
  expect(api?.requests[1]).toBe('GET /apis/kubeovn.io/v1/vpcs?labelSelector=x%3Dy&limit=500&continue=more');
});

test('leaves a pooled connection alone when the signal of a finished call is aborted', async () => {
  const stop = new AbortController();
  const abortFirst: Answer = (request, response, url) => {
    stop.abort();
    setImmediate(() => json(200, { metadata: { name: 'b' } })(request, response, url));
  };
  const cluster = await connect(json(200, { metadata: { name: 'a' } }), abortFirst);
  await cluster.get(RESOURCES.secrets, 'a', { signal: stop.signal });
  expect(await cluster.get(RESOURCES.secrets, 'b')).toEqual({ metadata: { name: 'b' } });
  expect(api?.requests).toHaveLength(2);
});

test.each([
  ['there is none', 'virtualmachineinstance.kubevirt.io "a" not found'],
  ['it has ended', 'VMI is not running'],
])('a machine has no picture when %s, which KubeVirt answers with 500', async (_case, text) => {
  const cluster = await connect((_request, response) => void response.writeHead(500).end(text));
  expect(await screenshot(cluster, 'a')).toBeUndefined();
  expect(api?.requests).toHaveLength(1);
});

test('a second start at once is a conflict, though KubeVirt answers 500', async () => {
  const text = 'Internal error occurred: unable to complete request: stop/start already underway';
  const cluster = await connect(refusal(500, 'InternalError', text));
  await expect(startMachine(cluster, 'a')).rejects.toMatchObject({ status: 409, reason: 'Conflict' });
  const broken = await connect(refusal(500, 'InternalError', 'no endpoints available for service "virt-api"'));
  await expect(startMachine(broken, 'a')).rejects.toMatchObject({ code: 'ClusterUnavailable' });
});

test('names itself on plain requests and on WebSockets', async () => {
  const seen: (string | undefined)[] = [];
  api = await startScriptedApi((request, response) => {
    seen.push(request.headers['user-agent']);
    response.writeHead(404).end();
  });
  const cluster = new ClusterClient(api.config, { userAgent: userAgent('boot-keystrokes') });
  expect(await cluster.get(RESOURCES.secrets, 'a')).toBeUndefined();
  await expect(openPortForward(cluster, { pod: 'p', port: 1 })).rejects.toThrow();
  expect(seen).toEqual(Array(2).fill(expect.stringMatching(/^slipway-boot-keystrokes\/\d+\.\d+\.\d+$/)));
});
