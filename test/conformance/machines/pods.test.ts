import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPortForward } from '../../../common/kubernetes/port-forward.ts';
import { layoutOf, runDirOf } from '../../../embedded/host/layout.ts';
import { findProcesses } from '../../../embedded/host/processes.ts';
import { podFiles } from '../../../embedded/pods/pod-plan.ts';
import { streamClient } from './guest-login.ts';
import { Laboratory } from './laboratory.ts';

/** Runs for the image `reporter`: reports what the kernel lets it do, and tries to write to the paths that are its arguments. */
const REPORTER = [
  process.execPath,
  '-e',
  `const fs = require('node:fs');
   const status = fs.readFileSync('/proc/self/status', 'utf8');
   const field = (name) => new RegExp('^' + name + ':\\\\s*(.*)$', 'm').exec(status)[1];
   const written = Object.fromEntries(process.argv.slice(1).map((path) => {
     try { fs.writeFileSync(path + '/mark', ''); return [path.replace(/^.*\\/volumes\\//, ''), true]; }
     catch (error) { return [path.replace(/^.*\\/volumes\\//, ''), error.code]; }
   }));
   console.log(JSON.stringify({ user: process.getuid(), group: process.getgid(), groups: process.getgroups(),
     capabilities: field('CapEff'), bounds: field('CapBnd'), noNewPrivs: field('NoNewPrivs'), written, env: process.env,
     port: fs.readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8').trim(),
     shadow: fs.existsSync('/etc/shadow'), home: fs.existsSync('/root') }));`,
];

/** Runs for the image `breaker`: a client of port 8080 is greeted, and reset when it answers. */
const BREAKER = [
  process.execPath,
  '-e',
  `require('node:net').createServer((socket) => {
     socket.write('hello');
     socket.once('data', () => socket.resetAndDestroy());
   }).listen(8080, '127.0.0.1', () => console.log('ready'));`,
];

let laboratory: Laboratory;
let count = 0;

beforeAll(async () => {
  laboratory = await Laboratory.open({
    config: { network: 'pod' },
    podCommands: { reporter: REPORTER, breaker: BREAKER },
  });
});

afterAll(() => laboratory?.close());

interface PodReport {
  readonly user: number;
  readonly group: number;
  readonly groups: readonly number[];
  readonly capabilities: string;
  readonly bounds: string;
  readonly noNewPrivs: string;
  readonly written: Readonly<Record<string, true | string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly port: string;
  readonly shadow: boolean;
  readonly home: boolean;
}

/** Output of a pod with these security contexts. */
async function reportOf(ofPod: object, ofContainer: object): Promise<PodReport> {
  const name = `reporter-${++count}`;
  const container = {
    ...{ name: 'reporter', image: 'reporter', args: ['/tmp', '/scratch', '/data'], securityContext: ofContainer },
    env: [{ name: 'GIVEN', value: 'by the pod' }],
    volumeMounts: [
      { name: 'scratch', mountPath: '/scratch' },
      { name: 'data', mountPath: '/data' },
    ],
  };
  const volumes = [
    { name: 'scratch', emptyDir: {} },
    { name: 'data', secret: { secretName: 'data' } },
  ];
  const spec = { restartPolicy: 'Never', securityContext: ofPod, containers: [container], volumes };
  await laboratory.create('Pod', { metadata: { name }, spec });
  await laboratory.untilPhase('Pod', name, 'Succeeded');
  const { body } = await laboratory.client.send('GET', `${laboratory.path('Pod', name)}/log`);
  return (typeof body === 'string' ? JSON.parse(body) : body) as PodReport;
}

test('a pod obeys its security context, as a relay asks for it', async () => {
  await laboratory.create('Secret', { metadata: { name: 'data' }, stringData: { key: 'value' } });
  const sysctls = [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }];
  const reported = await reportOf(
    { runAsNonRoot: true, runAsUser: 65_532, runAsGroup: 65_533, fsGroup: 65_534, sysctls },
    { readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] }, allowPrivilegeEscalation: false },
  );
  expect(reported).toMatchObject({ user: 65_532, group: 65_533, port: '0', noNewPrivs: '1' });
  expect(reported.groups).toContain(65_534);
  expect(reported.capabilities).toMatch(/^0+$/);
  expect(reported.bounds).toMatch(/^0+$/);
  expect(reported.written).toEqual({ '/tmp': 'EROFS', scratch: true, data: 'EROFS' });
  expect(reported).toMatchObject({ shadow: false, home: false });
  expect(reported.env['GIVEN']).toBe('by the pod');
  expect(Object.keys(reported.env).toSorted()).toEqual(
    expect.not.arrayContaining(['SLIPWAY_CONFIG', 'NODE_OPTIONS', 'USER']),
  );
});

test('a pod without requests has no rights on the host, and root only those that it asks for', async () => {
  const plain = await reportOf({}, {});
  expect(plain.user).toBeGreaterThanOrEqual(1_900_000_000);
  expect(plain.written).toMatchObject({ '/tmp': true, scratch: true });
  const root = await reportOf({ runAsUser: 0 }, { capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } });
  expect({ user: root.user, capabilities: BigInt(`0x${root.capabilities}`) }).toEqual({
    user: 0,
    capabilities: 1n << 10n,
  });
});

test('a pod whose supervisor is killed is started again at once', async () => {
  const containers = [{ name: 'breaker', image: 'breaker' }];
  await laboratory.create('Pod', { metadata: { name: 'kept' }, spec: { containers } });
  const { metadata } = await laboratory.untilPhase('Pod', 'kept', 'Running');
  const directory = runDirOf(layoutOf(laboratory.cluster.dataDir ?? ''), 'pods', metadata.uid);
  const supervisors = async () =>
    (await findProcesses(directory)).filter(({ argv }) => argv.at(-2)?.endsWith('pod-supervisor.js'));
  const [first] = await supervisors();
  // The kernel may close what it listens on long after its connections.
  const { socket } = podFiles(directory);
  await rm(socket);
  const dying = createServer().listen(socket);
  await once(dying, 'listening');
  process.kill(first?.pid ?? 0, 'SIGKILL');
  await laboratory.until('Pod', 'kept', ({ status }) => {
    const all = (status?.['containerStatuses'] ?? []) as readonly { restartCount: number; state: object }[];
    return all.some(({ restartCount, state }) => restartCount === 1 && 'running' in state);
  });
  expect(await supervisors()).toEqual([expect.not.objectContaining({ pid: first?.pid })]);
  await laboratory.delete('Pod', 'kept');
  dying.close();
});

test('a pod that would break its own policy, or the host, waits and reports why', async () => {
  const containers = [{ name: 'reporter', image: 'reporter', args: [] }];
  const waits = async (name: string, securityContext: object, why: string) => {
    await laboratory.create('Pod', { metadata: { name }, spec: { securityContext, containers } });
    await laboratory.until('Pod', name, ({ status }) => JSON.stringify(status).includes(why));
    await laboratory.delete('Pod', name);
  };
  await waits('as-root', { runAsNonRoot: true, runAsUser: 0 }, 'breaks non-root policy');
  await waits('forwards', { sysctls: [{ name: 'kernel.core_pattern', value: '0' }] }, 'forbidden sysctl');
});

test('a forwarded connection that breaks ends, and nothing is written into it', async () => {
  const spec = { restartPolicy: 'Never', containers: [{ name: 'breaker', image: 'breaker' }] };
  await laboratory.create('Pod', { metadata: { name: 'breaker' }, spec });
  await laboratory.untilPhase('Pod', 'breaker', 'Running');
  const client = streamClient(laboratory.cluster.kubeconfig);
  const open = () => openPortForward(client, { pod: 'breaker', port: 8080 });
  let received = '';
  await expect
    .poll(async () => {
      received = await open().then(conversation, () => '');
      return received;
    })
    .toMatch(/^hello/);
  expect(received).toBe('hello');
});

/** Output of a connection that is written to as soon as something was received. */
async function conversation(stream: Duplex): Promise<string> {
  let output = '';
  stream.on('data', (bytes: Buffer) => {
    if (output === '') stream.write('continue');
    output += bytes.toString();
  });
  await finished(stream, { writable: false }).catch(() => undefined);
  stream.destroy();
  return output;
}
