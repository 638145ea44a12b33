import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { PNG } from 'pngjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { screenshot } from '../../../common/kubernetes/machine-actions.ts';
import { openSerialLog } from '../../../common/kubernetes/serial-log.ts';
import { openSubresourceStream } from '../../../common/kubernetes/subresource-stream.ts';
import { generateKeyPair } from '../../../common/ssh/key-pair.ts';
import { layoutOf, runDirOf } from '../../../embedded/host/layout.ts';
import { findProcesses } from '../../../embedded/host/processes.ts';
import { type ServedFile, serveFile } from '../../harness/file-server.ts';
import { guestImages } from '../../harness/guest-images.ts';
import { type ProcessView, viewProcess } from '../../harness/process-view.ts';
import { refusal, runInGuest, streamClient } from './guest-login.ts';
import { Laboratory, NAMESPACE, type Seen } from './laboratory.ts';
import { createLan } from './lan.ts';
import { FORWARDER, machine, scriptPod } from './manifests.ts';

const key = generateKeyPair('conformance');
let laboratory: Laboratory;
let image: ServedFile;
let client: ClusterClient;
let isClosed = false;

beforeAll(async () => {
  image = await serveFile((await guestImages()).cloudImage);
  laboratory = await Laboratory.open({ podCommands: { forwarder: FORWARDER } });
  client = streamClient(laboratory.cluster.kubeconfig);
  await createLan(laboratory, '10.88.0.0/24', key.publicKey);
  for (const [port, name] of [
    ['2210', 'to-first'],
    ['2220', 'to-second'],
  ] as const) {
    const ip = name === 'to-first' ? '10.88.0.2' : '10.88.0.3';
    const target = name === 'to-first' ? '10.88.0.10' : '10.88.0.20';
    await laboratory.create(
      'Pod',
      scriptPod(name, { network: 'lan', ip, image: 'forwarder', args: [port, target, '22'] }),
    );
  }
  const first = { source: { http: { url: image.url } }, network: 'lan', ip: '10.88.0.10', mac: '02:00:00:88:00:10' };
  const secured = machine('first', first);
  secured.spec.template.metadata.annotations[`lan.${NAMESPACE}.ovn.kubernetes.io/port_security`] = 'true';
  await laboratory.create('VirtualMachine', secured);
  await laboratory.act('virtualmachines/first/start');
  await laboratory.untilPhase('Pod', 'to-first', 'Running');
  await laboratory.untilPhase('VirtualMachineInstance', 'first', 'Running');
}, 60_000);

afterAll(async () => {
  if (!isClosed) await laboratory?.close();
  await image?.stop();
});

const EVICTION = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: {} };
const evict = (pod: string) => laboratory.client.send('POST', `${laboratory.path('Pod', pod)}/eviction`, EVICTION);

async function launcherOf(name: string): Promise<string> {
  const { body } = await laboratory.client.send('GET', laboratory.path('Pod'));
  const pods = (body as unknown as { items: Seen[] }).items.map(({ metadata }) => metadata.name);
  return pods.find((pod) => pod.startsWith(`virt-launcher-${name}-`)) ?? '';
}

/** In the order in which they were recorded. */
async function reasonsOf(kind: string, name: string): Promise<string[]> {
  const { body } = await laboratory.client.send('GET', `/api/v1/namespaces/${NAMESPACE}/events`);
  const events = body as unknown as { items: { reason: string; involvedObject: Named; metadata: Versioned }[] };
  return events.items
    .filter(({ involvedObject }) => involvedObject.kind === kind && involvedObject.name === name)
    .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
    .map(({ reason }) => reason);
}

interface Named {
  readonly kind: string;
  readonly name: string;
}

interface Versioned {
  readonly resourceVersion: string;
}

const inFirst = (command: string) =>
  runInGuest({ client, pod: 'to-first', port: 2210, privateKey: key.privateKey }, command);
const inSecond = (command: string) =>
  runInGuest({ client, pod: 'to-second', port: 2220, privateKey: key.privateKey }, command);

/** Presses Enter at a serial port until a login prompt is there. */
async function loginPrompt(stream: Duplex): Promise<void> {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  // The guest may still be booting.
  const pressed = () => stream.write('\n') && text;
  await expect.poll(pressed, { timeout: 30_000, interval: 500 }).toMatch(/login: $/);
}

/** The protocol version that a VNC server sends first. */
async function banner(stream: Duplex): Promise<string> {
  const [chunk] = (await once(stream, 'data')) as [Buffer];
  return chunk.toString('latin1', 0, 12);
}

/** The QEMU of a machine that runs. */
async function qemuOf(name: string): Promise<ProcessView> {
  const { metadata } = await laboratory.untilPhase('VirtualMachineInstance', name, 'Running');
  const runDir = runDirOf(layoutOf(laboratory.cluster.dataDir ?? ''), 'machines', metadata.uid);
  const [qemu] = (await findProcesses(runDir)).filter(({ argv }) => argv[0]?.startsWith('qemu-system'));
  return viewProcess(qemu?.pid ?? 0);
}

test('what a guest that got hold of QEMU could ask of the kernel is filtered', async () => {
  const { seccomp, argv } = await qemuOf('first');
  expect(seccomp).toBe(2);
  expect(argv[argv.indexOf('-sandbox') + 1]?.split(',').toSorted()).toEqual(
    ['on', 'obsolete=deny', 'elevateprivileges=deny', 'spawn=deny', 'resourcecontrol=deny'].toSorted(),
  );
});

test('QEMU and the DHCP server are not root, and see no file but their own', async () => {
  const { metadata } = await laboratory.untilPhase('VirtualMachineInstance', 'first', 'Running');
  const { dataDir = '' } = laboratory.cluster;
  const layout = layoutOf(dataDir);
  const runDir = runDirOf(layout, 'machines', metadata.uid);
  const qemu = await qemuOf('first');
  const [dnsmasq] = (await findProcesses(join(layout.run, 'dhcp'))).filter(({ argv }) => argv[0] === 'dnsmasq');
  const users = [qemu, viewProcess(dnsmasq?.pid ?? 0)].map((seen) => {
    expect(seen.user).toBeGreaterThanOrEqual(1_900_000_000);
    expect(seen.groups).toBe('');
    for (const path of ['/etc/shadow', '/etc/passwd', '/root', '/home', '/var', '/sys', join(dataDir, 'api')]) {
      expect(existsSync(`${seen.root}${path}`), path).toBe(false);
    }
    return seen.user;
  });
  expect(users[0]).not.toBe(users[1]);
  expect(qemu.capabilities).toMatch(/^0+$/);
  // Of the disks of the cluster, its own.
  const claim = await laboratory.get('PersistentVolumeClaim', 'first-root');
  const { root, user } = qemu;
  expect(await readdir(`${root}${layout.volumes}`)).toEqual([claim?.metadata.uid]);
  // It may write to the disk, but neither replace it nor what the server reads.
  const owned = (path: string) => {
    const { uid, gid, mode } = statSync(path);
    return { uid, gid, mode: (mode & 0o7777).toString(8) };
  };
  const disk = join(layout.volumes, claim?.metadata.uid ?? '');
  expect(owned(disk)).toEqual({ uid: 0, gid: 0, mode: '755' });
  expect(owned(join(disk, 'disk.qcow2'))).toEqual({ uid: 0, gid: user, mode: '660' });
  expect(owned(runDir)).toEqual({ uid: 0, gid: user, mode: '1770' });
  for (const name of ['serial.log', 'qemu.log', 'seed.img']) {
    expect(owned(join(runDir, name)), name).toEqual({ uid: 0, gid: user, mode: '660' });
  }
});

test('a guest gets its reserved address and the key of its seed, and is reached through a pod', async () => {
  expect(await inFirst('hostname; ip -4 -o addr show scope global')).toMatch(/^first\n.*\b10\.88\.0\.10\/24\b/);
  await inFirst('echo from-the-parent > /root/mark; sync');
}, 40_000);

test('a card with port security sends under its own address only', async () => {
  const ping = (from: string) => `ping -c 1 -W 3 -I ${from} 10.88.0.3 > /dev/null && echo ${from} || echo none`;
  const borrow = 'nic=$(ip -o route get 10.88.0.3 | sed "s/.* dev //; s/ .*//"); ip addr add 10.88.0.77/32 dev $nic';
  const tries = [ping('10.88.0.10'), borrow, ping('10.88.0.77'), 'ip addr del 10.88.0.77/32 dev $nic'];
  expect(await inFirst(tries.join('; '))).toBe('10.88.0.10\nnone');
}, 40_000);

test('a card without an address of its own is behind a root port, a conventional one on the bridge there', async () => {
  expect(await inFirst('basename $(readlink -f /sys/class/net/*/device)')).toBe('0000:02:01.0');
}, 40_000);

test('an address of a secondary network stays invisible, and is in the address object', async () => {
  const vmi = await laboratory.get('VirtualMachineInstance', 'first');
  const [card] = (vmi?.status?.['interfaces'] ?? []) as { ipAddress?: string; mac: string }[];
  expect(card).toMatchObject({ mac: '02:00:00:88:00:10' });
  expect(card?.ipAddress).toBeUndefined();
  const { body } = await laboratory.client.send(
    'GET',
    laboratory.path('IP', `first.${NAMESPACE}.lan.${NAMESPACE}.ovn`),
  );
  expect(body['spec']).toMatchObject({ v4IpAddress: '10.88.0.10', subnet: 'lan-subnet', podName: 'first' });
});

test('a newcomer takes the screen over unless the session is to be preserved, and a picture disturbs no session', async () => {
  const incumbent = await openSubresourceStream(client, 'first', { stream: 'vnc' });
  expect(await banner(incumbent)).toBe('RFB 003.008\n');
  const denied = await refusal(client, 'virtualmachineinstances/first/vnc?preserveSession=true');
  expect(denied).toMatchObject({ code: 500, text: expect.stringContaining('Active VNC connection. Request denied.') });
  const picture = PNG.sync.read((await screenshot(client, 'first')) ?? Buffer.alloc(0));
  expect(picture.width).toBeGreaterThan(100);
  expect(incumbent.destroyed).toBe(false);
  const evicted = once(incumbent, 'close');
  incumbent.on('error', () => {}).resume();
  const newcomer = await openSubresourceStream(client, 'first', { stream: 'vnc' });
  expect(await banner(newcomer)).toBe('RFB 003.008\n');
  await evicted;
  newcomer.destroy();
});

test('a newcomer takes the serial port over, and reading the serial log disturbs no session', async () => {
  const incumbent = await openSubresourceStream(client, 'first', { stream: 'console' });
  incumbent.on('error', () => {});
  await loginPrompt(incumbent);
  // Whole lines only: the prompt is not in the log, the line before it is.
  const uid = (await laboratory.get('VirtualMachineInstance', 'first'))?.metadata.uid ?? '';
  const log = await openSerialLog(client, uid, { follow: false, signal: AbortSignal.timeout(10_000) });
  const text = Buffer.concat((await log?.toArray()) ?? []).toString();
  expect(text).toContain('tiny: ready');
  expect(text.endsWith('\n')).toBe(true);
  expect(incumbent.destroyed).toBe(false);
  const evicted = once(incumbent, 'close');
  const newcomer = await openSubresourceStream(client, 'first', { stream: 'console' });
  await evicted;
  await loginPrompt(newcomer);
  newcomer.destroy();
  const ofPod = (query: string) => laboratory.client.send('GET', `${laboratory.path('Pod', podName)}/log${query}`);
  const { items } = (
    await laboratory.client.send('GET', `${laboratory.path('Pod')}?labelSelector=kubevirt.io%2Fcreated-by%3D${uid}`)
  ).body as unknown as { items: Seen[] };
  const podName = items[0]?.metadata.name ?? '';
  expect(await ofPod('?container=absent')).toMatchObject({
    code: 400,
    body: { message: `container absent is not valid for pod ${podName}` },
  });
  // Without a name it is the one container that is not a sidecar.
  expect((await ofPod('')).code).toBe(200);
}, 60_000);

test('a machine that was started has the events of KubeVirt in their order', async () => {
  expect(await reasonsOf('VirtualMachineInstance', 'first')).toEqual(['SuccessfulCreate', 'Created', 'Started']);
});

test('a change of the template is taken at the next start, and not reported; launchers ask for no resources', async () => {
  const path = laboratory.path('VirtualMachine', 'first');
  const patch = { spec: { template: { spec: { domain: { cpu: { sockets: 2 } } } } } };
  const changed = await laboratory.client.patch(path, 'merge-patch+json', patch);
  const { generation } = changed.body['metadata'] as { generation: number };
  const seen = await laboratory.until(
    'VirtualMachine',
    'first',
    ({ status }) => status?.['observedGeneration'] === generation,
  );
  expect(seen.status?.conditions?.map(({ type }) => type)).not.toContain('RestartRequired');
  const { body } = await laboratory.client.send('GET', laboratory.path('Pod'));
  const launchers = (body as unknown as { items: { spec: { containers: object[] }; metadata: { name: string } }[] })
    .items;
  const launcher = launchers.find(({ metadata }) => metadata.name.startsWith('virt-launcher-first-'));
  expect(launcher?.spec.containers).toEqual([{ name: 'compute', image: 'virt-launcher' }]);
  const back = { spec: { template: { spec: { domain: { cpu: { sockets: null } } } } } };
  await laboratory.client.patch(path, 'merge-patch+json', back);
});

test('pausing shows as a condition and ends with unpausing', async () => {
  const isPaused = ({ status }: Seen) => status?.conditions?.some(({ type }) => type === 'Paused') ?? false;
  await laboratory.act('virtualmachineinstances/first/pause');
  const held = await laboratory.until('VirtualMachineInstance', 'first', isPaused);
  expect(held.status?.phase).toBe('Running');
  await laboratory.act('virtualmachineinstances/first/unpause');
  await laboratory.until('VirtualMachineInstance', 'first', (vmi) => !isPaused(vmi));
});

test('a server that was killed finds its machines and pods again', async () => {
  const before = await inFirst('cat /proc/sys/kernel/random/boot_id');
  const uid = (await laboratory.get('VirtualMachineInstance', 'first'))?.metadata.uid;
  await laboratory.cluster.kill('SIGKILL');
  await laboratory.cluster.restart();
  expect(await inFirst('cat /proc/sys/kernel/random/boot_id')).toBe(before);
  expect(await laboratory.get('VirtualMachineInstance', 'first')).toMatchObject({
    metadata: { uid },
    status: { phase: 'Running' },
  });
}, 40_000);

test('a clone of a snapshot of the running machine boots with what was on its disk', async () => {
  const source = { persistentVolumeClaimName: 'first-root' };
  await laboratory.create('VolumeSnapshot', { metadata: { name: 'taken' }, spec: { source } });
  await laboratory.until('VolumeSnapshot', 'taken', ({ status }) => status?.['readyToUse'] === true);
  const reported = () => reasonsOf('VolumeSnapshot', 'taken');
  await expect.poll(reported).toEqual(['CreatingSnapshot', 'SnapshotCreated', 'SnapshotReady']);
  await inFirst('echo too-late > /root/mark; sync');
  const second = { network: 'lan', ip: '10.88.0.20', mac: '02:00:00:88:00:20' };
  const clone = { snapshot: { namespace: NAMESPACE, name: 'taken' } };
  await laboratory.create('VirtualMachine', machine('second', { source: clone, ...second }));
  await laboratory.act('virtualmachines/second/start');
  expect(await inSecond('cat /root/mark; hostname')).toBe('from-the-parent\nsecond');
  expect(await inFirst('cat /root/mark')).toBe('too-late');
  expect((await qemuOf('second')).user).not.toBe((await qemuOf('first')).user);
}, 60_000);

test('a guest that powers itself off leaves a Succeeded instance behind', async () => {
  await inSecond('poweroff').catch(() => ''); // The connection may be cut before the answer.
  await laboratory.untilPhase('VirtualMachineInstance', 'second', 'Succeeded');
  const vm = await laboratory.until(
    'VirtualMachine',
    'second',
    ({ status }) => status?.['printableStatus'] === 'Stopped',
  );
  expect(vm.status?.['created']).toBe(true);
}, 40_000);

test('the pod of an ended machine goes at once, and its addresses stay while its instance does', async () => {
  const launcher = await launcherOf('second');
  await laboratory.delete('Pod', launcher);
  await laboratory.untilGone('Pod', launcher);
  expect((await laboratory.get('VirtualMachineInstance', 'second'))?.status?.phase).toBe('Succeeded');
  // KubeOVN never looks at a pod again that is gone: nothing frees these but the deletion of its machine.
  expect(await laboratory.get('IP', `second.${NAMESPACE}.lan.${NAMESPACE}.ovn`)).toBeDefined();
});

test('a stop presses the power button and ends as Succeeded; no grace ends it at once', async () => {
  await laboratory.act('virtualmachines/first/stop');
  await laboratory.untilPhase('VirtualMachineInstance', 'first', 'Succeeded');
  await laboratory.untilGone('VirtualMachineInstance', 'first');
  await laboratory.act('virtualmachines/first/start');
  await laboratory.untilPhase('VirtualMachineInstance', 'first', 'Running');
  await laboratory.act('virtualmachines/first/stop', { gracePeriod: 0 });
  await laboratory.untilGone('VirtualMachineInstance', 'first');
}, 40_000);

test('a drain presses the power button, and the pod stays until the guest is off', async () => {
  await laboratory.act('virtualmachines/first/start');
  const { metadata } = await laboratory.untilPhase('VirtualMachineInstance', 'first', 'Running');
  await inFirst('true'); // Firmware knows no power button.
  const launcher = await launcherOf('first');
  expect(await evict(launcher)).toMatchObject({ code: 201 });
  const leaving = await laboratory.get('Pod', launcher);
  expect(leaving?.status?.conditions).toContainEqual(
    expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }),
  );
  await laboratory.untilPhase('VirtualMachineInstance', 'first', 'Succeeded');
  await laboratory.untilGone('Pod', launcher);
  expect((await laboratory.get('VirtualMachineInstance', 'first'))?.metadata.uid).toBe(metadata.uid);
  await expect
    .poll(async () => (await reasonsOf('VirtualMachineInstance', 'first')).slice(-2))
    .toEqual(['ShuttingDown', 'Stopped']);
  await laboratory.delete('VirtualMachineInstance', 'first');
  await laboratory.untilGone('VirtualMachineInstance', 'first');
}, 60_000);

test('a drain only marks a machine whose owner is to act on it', async () => {
  const place = { network: 'lan', ip: '10.88.0.31', mac: '02:00:00:88:00:31' };
  const vm = machine('marked', { source: { blank: {} }, ...place });
  Object.assign(vm.spec.template.spec, { evictionStrategy: 'External' });
  await laboratory.create('VirtualMachine', vm);
  await laboratory.act('virtualmachines/marked/start');
  await laboratory.untilPhase('VirtualMachineInstance', 'marked', 'Running');
  expect(await evict(await launcherOf('marked'))).toMatchObject({ code: 429 });
  const isAsked = ({ status }: Seen) => status?.conditions?.some(({ type }) => type === 'EvictionRequested') ?? false;
  const marked = await laboratory.until('VirtualMachineInstance', 'marked', isAsked);
  expect(marked.status).toMatchObject({ phase: 'Running', evacuationNodeName: 'slipway-embedded' });
  await laboratory.act('virtualmachines/marked/stop', { gracePeriod: 0 });
  await laboratory.untilGone('VirtualMachineInstance', 'marked');
}, 60_000);

test('a guest that does not react to the power button is Failed when its grace is over', async () => {
  // Nothing to boot from: the firmware knows no power button.
  const place = { network: 'lan', ip: '10.88.0.30', mac: '02:00:00:88:00:30' };
  await laboratory.create('VirtualMachine', machine('deaf', { source: { blank: {} }, ...place }));
  await laboratory.act('virtualmachines/deaf/start');
  await laboratory.untilPhase('VirtualMachineInstance', 'deaf', 'Running');
  const ended = laboratory.untilPhase('VirtualMachineInstance', 'deaf', 'Failed');
  await laboratory.act('virtualmachines/deaf/stop', { gracePeriod: 1 });
  await ended;
  await laboratory.untilGone('VirtualMachineInstance', 'deaf');
});

test('a machine that is ended from outside is Failed, however politely', async () => {
  await laboratory.act('virtualmachines/first/start');
  const { metadata } = await laboratory.untilPhase('VirtualMachineInstance', 'first', 'Running');
  const runDir = runDirOf(layoutOf(laboratory.cluster.dataDir ?? ''), 'machines', metadata.uid);
  const processes = await processesOf(runDir);
  expect(processes).not.toEqual([]);
  for (const pid of processes) process.kill(pid, 'SIGTERM');
  await laboratory.untilPhase('VirtualMachineInstance', 'first', 'Failed');
});

test('purging leaves no process, no namespace, no interface, no table and no file', async () => {
  const dataDir = laboratory.cluster.dataDir ?? '';
  const { prefix } = layoutOf(dataDir);
  expect(await processesOf(dataDir)).not.toEqual([]);
  isClosed = true;
  await laboratory.close();
  expect(await processesOf(dataDir)).toEqual([]);
  const host = execFileSync('sh', ['-c', 'ip netns list; ip -br link; nft list tables']).toString();
  expect(host).not.toContain(prefix);
  expect((await readdir(tmpdir())).map((name) => `${tmpdir()}/${name}`)).not.toContain(dataDir);
}, 30_000);

/** Processes that name a text on their command line. */
async function processesOf(text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) =>
      (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(text) ? [Number(pid)] : [],
    ),
  );
  return found.flat();
}
