import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, PassThrough, Readable } from 'node:stream';
import { KubeConfig, PortForward } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { systemClock } from '../../../common/clock/clock.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../../common/logging/logger.ts';
import { ApiError } from '../api-error.ts';
import { openClusterStore, serveApi } from '../api-half.ts';
import type { JsonObject, KubeObject } from '../objects.ts';
import type { Store } from '../store.ts';
import type { MachineAccess } from './machine-access.ts';

const resources = new ReleaseStack();
const config = new KubeConfig();
let store: Store;
const calls: string[] = [];
let vnc: Duplex;

/** A stream whose other end echoes, as a machine that answers. */
function echo(): Duplex {
  return new PassThrough();
}

const access: MachineAccess = {
  openVnc: async (_, { preserveSession }) => {
    if (preserveSession) throw new ApiError(500, 'InternalError', 'Active VNC connection. Request denied.');
    vnc = echo();
    return vnc;
  },
  openSerial: async () => Duplex.from(Readable.from([Buffer.from('login: ')])),
  screenshot: async () => Buffer.from('png'),
  pause: async ({ name }) => void calls.push(`pause ${name}`),
  unpause: async ({ name }) => void calls.push(`unpause ${name}`),
  softReboot: async ({ name }) => void calls.push(`softReboot ${name}`),
  reset: async ({ name }) => void calls.push(`reset ${name}`),
  openPodPort: async (_, port) => {
    if (port === 81) throw new Error('connection refused');
    return echo();
  },
  podLog: async (_, { container, tailLines }) => Readable.from([`${container}, last ${tailLines ?? 'all'}\n`]),
};

function object(kind: string, name: string, content: JsonObject): KubeObject {
  const apiVersion = kind === 'Pod' ? 'v1' : 'kubevirt.io/v1';
  return { apiVersion, kind, metadata: { namespace: 'default', name }, ...content };
}

function instance(name: string, phase: string, conditions: readonly JsonObject[] = []): KubeObject {
  return object('VirtualMachineInstance', name, { spec: { domain: { devices: {} } }, status: { phase, conditions } });
}

function machine(name: string, runStrategy: string): KubeObject {
  return object('VirtualMachine', name, { spec: { runStrategy, template: {} } });
}

function headers(): { Authorization: string } {
  return { Authorization: `Bearer ${config.getCurrentUser()?.token}` };
}

function url(path: string, scheme = 'https'): string {
  return `${config.getCurrentCluster()?.server.replace('https', scheme)}${path}`;
}

async function put(resource: string, body?: JsonObject): Promise<{ code: number; message: string }> {
  return await send({ method: 'PUT', path: `/apis/subresources.kubevirt.io/v1/namespaces/default/${resource}`, body });
}

interface Asked {
  readonly method: 'PUT' | 'POST';
  readonly path: string;
  readonly body?: JsonObject | undefined;
}

async function send({ method, path, body }: Asked): Promise<{ code: number; message: string }> {
  const { request, Agent } = await import('undici');
  const ca = Buffer.from(config.getCurrentCluster()?.caData ?? '', 'base64').toString();
  const answer = await request(url(path), {
    method,
    headers: headers(),
    dispatcher: new Agent({ connect: { ca } }),
    body: body ? JSON.stringify(body) : null,
  });
  const text = await answer.body.text();
  return { code: answer.statusCode, message: text === '' ? '' : JSON.parse(text).message };
}

/** Opens a WebSocket; rejects with the Status of a refused handshake. */
function open(path: string, protocol = 'plain.kubevirt.io'): Promise<WebSocket> {
  const ca = Buffer.from(config.getCurrentCluster()?.caData ?? '', 'base64').toString();
  const full = `/apis/subresources.kubevirt.io/v1/namespaces/default/${path}`;
  const client = new WebSocket(url(full, 'wss'), [protocol], { ca, headers: headers() });
  return new Promise((resolve, reject) => {
    client.once('open', () => resolve(client));
    client.once('unexpected-response', (_, response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => reject(JSON.parse(text)));
    });
  });
}

beforeAll(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'slipway-subresources-'));
  resources.defer('data', () => rm(dataDir, { recursive: true }));
  const shared = { dataDir, clock: systemClock, logger: createLogger({ name: 'test', level: 'silent' }), resources };
  store = await openClusterStore(shared, {});
  const { kubeconfig } = await serveApi({ ...shared, store, host: '127.0.0.1', port: 0, access });
  config.loadFromFile(kubeconfig);
  const paused = { type: 'Paused', status: 'True' };
  await store.create(instance('running', 'Running'));
  await store.create(instance('paused', 'Running', [paused]));
  await store.create(instance('ended', 'Succeeded'));
  await store.create(instance('failed', 'Failed'));
  const devices = { autoattachGraphicsDevice: false, autoattachSerialConsole: false };
  await store.create({ ...instance('blind', 'Succeeded'), spec: { domain: { devices } } });
  await store.create(object('Pod', 'pod', { status: { phase: 'Running' } }));
  const containers = [{ name: 'compute' }];
  const initContainers = [{ name: 'guest-console-log', restartPolicy: 'Always' }];
  await store.create(object('Pod', 'launcher', { spec: { containers, initContainers }, status: { phase: 'Running' } }));
  await store.create(object('Pod', 'starting', { spec: { containers, initContainers }, status: { phase: 'Pending' } }));
  const both = { containers: [{ name: 'one' }, { name: 'two' }] };
  await store.create(object('Pod', 'several', { spec: both, status: { phase: 'Running' } }));
  for (const strategy of ['Always', 'Halted', 'Manual', 'Once']) {
    await store.create(machine(strategy.toLowerCase(), strategy));
  }
  await store.create(machine('running', 'Manual'));
});

afterAll(() => resources.close());

test.each([
  ['launcher', '', 200, 'compute, last all\n'],
  ['launcher', '?container=guest-console-log&tailLines=5', 200, 'guest-console-log, last 5\n'],
  // What is not obeyed is not refused either.
  [
    'launcher',
    '?container=compute&timestamps=true&sinceTime=2026-01-01T00:00:00Z&limitBytes=1',
    200,
    'compute, last all\n',
  ],
  ['launcher', '?container=absent', 400, 'container absent is not valid for pod launcher'],
  ['several', '', 400, 'a container name must be specified for pod several, choose one of: [one two]'],
  [
    'starting',
    '?container=guest-console-log',
    400,
    'container "guest-console-log" in pod "starting" is waiting to start',
  ],
  ['nobody', '', 404, 'pods "nobody" not found'],
])('the log of the pod %s%s is %i', async (pod, query, code, text) => {
  const { request, Agent } = await import('undici');
  const ca = Buffer.from(config.getCurrentCluster()?.caData ?? '', 'base64').toString();
  const answer = await request(url(`/api/v1/namespaces/default/pods/${pod}/log${query}`), {
    headers: headers(),
    dispatcher: new Agent({ connect: { ca } }),
  });
  const body = await answer.body.text();
  expect([answer.statusCode, code === 200 ? body : JSON.parse(body).message]).toEqual([
    code,
    expect.stringContaining(text),
  ]);
});

test.each([
  ['virtualmachines/absent/start', 404, 'virtualmachine.kubevirt.io "absent" not found'],
  ['virtualmachines/always/start', 409, 'does not support manual start requests'],
  ['virtualmachines/once/start', 409, 'does not support manual start requests'],
  ['virtualmachines/running/start', 409, 'VM is already running'],
  ['virtualmachines/halted/stop', 409, 'VM is not running'],
  ['virtualmachines/manual/stop', 409, 'VM is not running'],
  ['virtualmachines/once/restart', 409, 'RunStategy Once does not support manual restart requests'],
  ['virtualmachines/manual/restart', 409, 'VM is not running: Halted'],
  ['virtualmachines/running/restart {"gracePeriodSeconds":-1}', 400, 'gracePeriod has to be greater or equal to 0'],
  ['virtualmachines/running/restart {"gracePeriodSeconds":9}', 400, 'only gracePeriod=0 is supported for now'],
  ['virtualmachineinstances/ended/pause', 409, 'VM is not running'],
  ['virtualmachineinstances/ended/unpause', 409, 'VMI is not running'],
  [
    'virtualmachineinstances/ended/reset',
    400,
    'Failed to reset non-running VMI with phase Succeeded: Unable to connect',
  ],
  ['virtualmachineinstances/paused/pause', 409, 'already paused'],
  ['virtualmachineinstances/running/unpause', 409, 'VMI is not paused'],
  ['virtualmachineinstances/absent/pause', 404, 'virtualmachineinstance.kubevirt.io "absent" not found'],
])('refuses PUT %s with %i', async (line, code, message) => {
  const [path = '', body] = line.split(' ');
  expect(await put(path, body === undefined ? undefined : JSON.parse(body))).toEqual({
    code,
    message: expect.stringContaining(message),
  });
});

test('a pod is evicted, unless its machine is to be migrated or its owner is to act', async () => {
  const launcher = async (strategy: string, phase = 'Running') => {
    const name = strategy.toLowerCase();
    await store.create({
      ...instance(name, phase),
      spec: { domain: { devices: {} }, evictionStrategy: strategy },
    });
    const labels = { 'kubevirt.io': 'virt-launcher' };
    const metadata = { namespace: 'default', name, labels, annotations: { 'kubevirt.io/domain': name } };
    const finalizers = ['example.org/held'];
    const spec = { nodeName: 'node' };
    await store.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, finalizers },
      spec,
      status: { phase },
    });
  };
  const evict = (name: string, body: JsonObject = {}) =>
    send({ method: 'POST', path: `/api/v1/namespaces/default/pods/${name}/eviction`, body });
  for (const strategy of ['None', 'LiveMigrate', 'LiveMigrateIfPossible', 'External']) await launcher(strategy);
  const denied = 'admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request: ';
  expect(await evict('livemigrate')).toEqual({
    code: 429,
    message: `${denied}VMI livemigrate is configured with an eviction strategy but is not live-migratable`,
  });
  await evict('external', { deleteOptions: { dryRun: ['All'] } });
  const evacuation = 'Eviction triggered evacuation of VMI "default/external"';
  expect(await evict('external')).toEqual({ code: 429, message: `${denied}${evacuation}` });
  expect(await evict('external')).toEqual({ code: 429, message: `${denied}Evacuation in progress: ${evacuation}` });
  expect(store.get('VirtualMachineInstance', { namespace: 'default', name: 'external' })?.status).toMatchObject({
    evacuationNodeName: 'node',
  });
  for (const name of ['none', 'livemigrateifpossible']) {
    await evict(name, { deleteOptions: { dryRun: ['All'] } });
    expect(store.get('Pod', { namespace: 'default', name })?.metadata.deletionTimestamp).toBeUndefined();
    expect(await evict(name)).toMatchObject({ code: 201 });
    expect(store.get('Pod', { namespace: 'default', name })).toMatchObject({
      metadata: { deletionTimestamp: expect.any(String) },
      status: { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }] },
    });
  }
  expect(await evict('absent')).toEqual({ code: 404, message: 'pods "absent" not found' });
});

test('starts and stops by strategy or by request', async () => {
  expect(await put('virtualmachines/halted/start')).toEqual({ code: 202, message: '' });
  expect(store.get('VirtualMachine', { namespace: 'default', name: 'halted' })?.spec?.['runStrategy']).toBe('Always');
  await put('virtualmachines/once/stop');
  expect(store.get('VirtualMachine', { namespace: 'default', name: 'once' })?.spec?.['runStrategy']).toBe('Halted');
  await put('virtualmachines/manual/start', { paused: true, dryRun: ['All'] });
  await put('virtualmachines/manual/start', { paused: true });
  const status = store.get('VirtualMachine', { namespace: 'default', name: 'manual' })?.status;
  expect(status).toEqual({ stateChangeRequests: [{ action: 'Start', data: { paused: 'true' } }] });
  expect(await put('virtualmachines/manual/start')).toMatchObject({
    code: 500,
    message: expect.stringContaining('already underway'),
  });
  const uid = store.get('VirtualMachineInstance', { namespace: 'default', name: 'running' })?.metadata.uid;
  await put('virtualmachines/running/restart');
  expect(store.get('VirtualMachine', { namespace: 'default', name: 'running' })?.status).toEqual({
    stateChangeRequests: [{ action: 'Stop', uid }, { action: 'Start' }],
  });
});

test('passes actions on to the machine', async () => {
  calls.length = 0;
  for (const path of ['running/pause', 'paused/unpause', 'running/softreboot', 'running/reset']) {
    expect(await put(`virtualmachineinstances/${path}`)).toEqual({ code: 200, message: '' });
  }
  expect(calls).toEqual(['pause running', 'unpause paused', 'softReboot running', 'reset running']);
});

test('carries bytes both ways and holds the machine back when the client does not read', async () => {
  const client = await open('virtualmachineinstances/running/vnc');
  expect(client.protocol).toBe('plain.kubevirt.io');
  client.pause();
  const sent = Buffer.alloc(24 * 1024 * 1024, 7);
  for (let at = 0; at < sent.length; at += 65_536) vnc.write(sent.subarray(at, at + 65_536));
  client.send('text is ignored');
  let received = 0;
  const all = new Promise<void>((resolve) =>
    client.on('message', (data: Buffer) => {
      received += data.length;
      if (received === sent.length) resolve();
    }),
  );
  await expect.poll(() => vnc.isPaused()).toBe(true);
  client.resume();
  await all;
  const closed = new Promise<number>((resolve) => client.once('close', resolve));
  vnc.end();
  expect(await closed).toBe(1006);
});

test('delivers what came before the end of the stream', async () => {
  const client = await open('virtualmachineinstances/running/console');
  const first = new Promise<string>((resolve) => client.once('message', (data) => resolve(String(data))));
  expect(await first).toBe('login: ');
});

test.each([
  ['virtualmachineinstances/ended/vnc', 400, 'VMI is not running'],
  ['virtualmachineinstances/blind/vnc', 400, 'No graphics devices are present.'],
  ['virtualmachineinstances/blind/console', 400, 'No serial consoles are present.'],
  ['virtualmachineinstances/failed/console', 409, 'VMI is in failed status'],
  ['virtualmachineinstances/ended/portforward/22', 400, 'no network interfaces are present'],
  ['virtualmachineinstances/running/vnc?preserveSession=true', 500, 'Active VNC connection. Request denied.'],
  ['virtualmachineinstances/absent/console', 404, 'not found'],
  ['virtualmachineinstances/running/portforward/22', 400, 'no network interfaces'],
  ['virtualmachineinstances/paused/portforward/22', 409, 'VMI is paused'],
  ['virtualmachineinstances/in-vpc/portforward/22', 500, 'dialing VM: dial tcp'],
  ['virtualmachines/halted/portforward/22', 409, 'VMI is not started'],
])('refuses to stream %s with a Status %i before the upgrade', async (path, code, message) => {
  const status = { ...instance('in-vpc', 'Running').status, interfaces: [{ ipAddress: '127.0.0.1' }] };
  const annotations = { 'ovn.kubernetes.io/logical_switch': 'build-net' };
  const metadata = { namespace: 'default', name: 'in-vpc', annotations };
  const present = store.get('VirtualMachineInstance', metadata);
  if (!present) {
    await store.create({
      apiVersion: 'kubeovn.io/v1',
      kind: 'Subnet',
      metadata: { name: 'build-net' },
      spec: { vpc: 'build' },
    });
    await store.create({ ...instance('in-vpc', 'Running'), metadata, status });
  }
  await expect(open(path)).rejects.toMatchObject({ kind: 'Status', code, message: expect.stringContaining(message) });
});

test('forwards a port of a machine on the default network', async () => {
  await using stack = new ReleaseStack();
  const server = createServer((socket) => socket.end('SSH-2.0-guest\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer('server', () => void server.close());
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const status = { phase: 'Running', interfaces: [{ ipAddress: '127.0.0.1' }] };
  await store.create({ ...instance('reachable', 'Running'), status });
  const client = await open(`virtualmachineinstances/reachable/portforward/${port}/tcp`);
  const first = new Promise<string>((resolve) => client.once('message', (data) => resolve(String(data))));
  expect(await first).toBe('SSH-2.0-guest\r\n');
});

test('forwards a pod port and reports one that cannot be opened', async () => {
  const forward = new PortForward(config);
  const [output, errors, input] = [new PassThrough(), new PassThrough(), new PassThrough()];
  await forward.portForward('default', 'pod', [80], output, errors, input);
  input.write('ping');
  expect(String(await new Promise((resolve) => output.once('data', resolve)))).toBe('ping');
  input.end();
  const refused = new PassThrough();
  await forward.portForward('default', 'pod', [81], new PassThrough(), refused, new PassThrough());
  expect(String(await new Promise((resolve) => refused.once('data', resolve)))).toContain('connection refused');
});
