import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { clusterConfig } from '../../test/harness/api-server.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from '../../test/harness/embedded-cluster.ts';
import { stagePhase } from '../../test/harness/phase-context.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { buildScope } from '../cluster/build-scope.ts';
import { evidenceOfMachine } from '../context/machine-evidence.ts';
import { wire } from '../networks/kube-ovn.ts';
import { ensureStarted } from '../phases/boot-keystrokes/start-machine.ts';
import { shutDown } from '../phases/snapshot/shutdown.ts';
import { buildVm } from './build-vm.ts';
import { whileMachineLives } from './machine-life.ts';

/*
 * What KubeVirt 1.9 was seen to write, written here by the test: an API server that stores, and no controllers. Minutes
 * pass in a fraction of a second.
 */
let server: EmbeddedCluster;
let config: ClusterConfig;
let cluster: ClusterClient;
const clock = {
  now: () => systemClock.now(),
  after: (ms: number, signal?: AbortSignal) => systemClock.after(ms >= 60_000 ? ms / 500 : ms, signal),
};

beforeAll(async () => {
  server = await startEmbeddedCluster({ apiOnly: true });
  config = clusterConfig(server.kubeconfig, { namespace: 'default' });
  cluster = new ClusterClient(config, { clock });
}, 60_000);

afterAll(async () => {
  await cluster.transport.close();
  await server.stop();
});

type Condition = { type: string; status: string; reason: string; message: string };

interface Play {
  readonly phase: string;
  readonly conditions?: readonly Condition[];
  readonly transitions?: readonly string[];
  readonly grace?: number;
}

/** Makes a VMI as it is at a moment; returns its uid. */
async function play(name: string, { phase, conditions = [], transitions = [phase], grace }: Play): Promise<string> {
  const spec = {
    domain: { memory: { guest: '64Mi' }, devices: {} },
    ...(grace === undefined ? {} : { terminationGracePeriodSeconds: grace }),
  };
  const { metadata } = await cluster.create(RESOURCES.instances, { metadata: { name }, spec } as never);
  const phaseTransitionTimestamps = transitions.map((passed) => ({
    phase: passed,
    phaseTransitionTimestamp: '2026-11-29T01:00:00Z',
  }));
  await writeStatus('instances', name, { phase, conditions, phaseTransitionTimestamps });
  return metadata?.uid ?? '';
}

/** VMIs keep their status in themselves, pods apart. */
async function writeStatus(kind: 'instances' | 'pods', name: string, status: object): Promise<void> {
  const path = cluster.path(RESOURCES[kind], name, {});
  const contentType = 'application/merge-patch+json';
  await cluster.call({
    method: 'PATCH',
    path: kind === 'pods' ? `${path}/status` : path,
    body: { status },
    contentType,
  });
}

/** The launcher pod of a VMI. */
async function launch(uid: string, name: string): Promise<void> {
  const metadata = { name, labels: { 'kubevirt.io/created-by': uid } };
  const spec = { containers: [{ name: 'compute', image: 'launcher' }] };
  await cluster.create(RESOURCES.pods, { metadata, spec } as never);
}

async function warn(kind: string, name: string, reason: string, message: string): Promise<void> {
  const involvedObject = { kind, name, namespace: 'default' };
  const metadata = { generateName: 'event-' };
  await cluster.create(RESOURCES.events, { metadata, involvedObject, reason, message, type: 'Warning' } as never);
}

const no = (type: string, reason: string, message: string): Condition => ({ type, status: 'False', reason, message });

function stage(phase: 'boot-keystrokes' | 'snapshot', layerBuild: string) {
  const { spec } = sampleModule({ name: 'm', layerKey: 'k', layerBuild, vms: ['vm'] });
  const context = { ...stagePhase({ clusterConfig: config, spec, vm: 'vm', phase, layerBuild }), cluster };
  const scope = buildScope(context);
  return { context, scope, name: scope.names.machine('vm') };
}

test('what keeps a machine from a node is read off its conditions and its pod', async () => {
  const unschedulable = no('PodScheduled', 'Unschedulable', '0/1 nodes are available: 1 Insufficient cpu.');
  const uid = await play('waiting', {
    phase: 'Scheduling',
    conditions: [no('Ready', 'PodNotExists', ''), unschedulable],
  });
  await launch(uid, 'virt-launcher-waiting-abcde');
  await warn('Pod', 'virt-launcher-waiting-abcde', 'Failed', 'Failed to pull image "x": ErrImagePull');
  expect(await evidenceOfMachine(cluster, 'waiting')).toEqual([
    'VirtualMachineInstance/waiting: PodScheduled=False: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.',
    'Pod/virt-launcher-waiting-abcde: Failed: Failed to pull image "x": ErrImagePull',
  ]);
});

test('a machine whose network cannot be set up fails with the words of its node', async () => {
  const { context, name } = stage('boot-keystrokes', '01J00000000000000000000001');
  const message = 'failed to configure vmi network: setup failed, err: Critical network error: operation not supported';
  const conditions = [no('Synchronized', 'Synchronizing with the Domain failed.', message)];
  await play(name, { phase: 'Failed', conditions, transitions: ['Scheduled', 'Failed'] });
  await expect(ensureStarted(context, name)).rejects.toMatchObject({
    failure: { reason: 'MachineNotStarted', message: expect.stringContaining(message) },
  });
});

test('a machine that ran before it failed has crashed', async () => {
  const { context, name } = stage('boot-keystrokes', '01J00000000000000000000002');
  const conditions = [no('Synchronized', 'x', 'y')];
  await play(name, { phase: 'Failed', conditions, transitions: ['Scheduled', 'Running', 'Failed'] });
  await expect(ensureStarted(context, name)).rejects.toMatchObject({ failure: { reason: 'GuestCrashed' } });
});

test('a machine that its node refuses in an Event alone is given up after minutes', async () => {
  const { context, name } = stage('boot-keystrokes', '01J00000000000000000000003');
  await play(name, { phase: 'Scheduled' });
  const message = "CPU mode 'host-passthrough' for x86_64 qemu domain on x86_64 host is not supported by hypervisor";
  await warn('VirtualMachineInstance', name, 'SyncFailed', message);
  await expect(ensureStarted(context, name)).rejects.toMatchObject({
    failure: { reason: 'MachineNotStarted', message: expect.stringContaining(message) },
  });
});

test('full storage under a running machine ends the phase at once, and is not a fault of the module', async () => {
  await play('full', { phase: 'Running' });
  const message = 'VMI was paused, low-level IO error detected';
  const paused = { type: 'Paused', status: 'True', reason: 'PausedIOError', message };
  await warn('VirtualMachineInstance', 'full', 'IOerror', 'VM Paused due to not enough space on volume: small');
  const working = whileMachineLives(
    { cluster, signal: new AbortController().signal },
    { name: 'full', doing: 'while a step ran' },
    async (alive) => {
      await writeStatus('instances', 'full', { phase: 'Running', conditions: [paused] });
      await systemClock.after(60_000, alive);
    },
  );
  await expect(working).rejects.toMatchObject({
    failure: {
      reason: 'StorageFull',
      events: ['VirtualMachineInstance/full: IOerror: VM Paused due to not enough space on volume: small'],
    },
  });
});

const evicted = [{ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }];

test('a drained node is distinguished from a guest that powered itself off', async () => {
  const uid = await play('drained', { phase: 'Running' });
  await launch(uid, 'virt-launcher-drained');
  const working = whileMachineLives(
    { cluster, signal: new AbortController().signal },
    { name: 'drained', doing: 'while a step ran' },
    async (alive) => {
      await writeStatus('pods', 'virt-launcher-drained', { conditions: evicted });
      await systemClock.after(60_000, alive);
    },
  );
  await expect(working).rejects.toMatchObject({ failure: { reason: 'MachineEvicted' } });
});

test('a drain while a machine is shut down is not a clean end, although its pod is gone when it has ended', async () => {
  const { context, scope, name } = stage('snapshot', '01J00000000000000000000004');
  const grace = Math.ceil(scope.vm.shutdownTimeoutMs / 1000);
  await cluster.create(RESOURCES.machines, {
    metadata: { name },
    spec: buildVm(scope, wire(scope, scope.plan.nics)).spec,
  } as never);
  const uid = await play(name, { phase: 'Running', grace });
  await launch(uid, 'virt-launcher-leaving');
  const off = shutDown(context, scope, async () => {
    await writeStatus('pods', 'virt-launcher-leaving', { conditions: evicted });
    await systemClock.after(1000);
    await cluster.delete(RESOURCES.pods, 'virt-launcher-leaving');
    await writeStatus('instances', name, { phase: 'Succeeded' });
  });
  await expect(off).rejects.toMatchObject({ failure: { reason: 'MachineEvicted' } });
});

test('a machine that was killed with another grace period than the farm gave it did not end in order', async () => {
  const { context, scope, name } = stage('snapshot', '01J00000000000000000000005');
  await play(name, { phase: 'Succeeded', grace: 0 });
  await expect(shutDown(context, scope, undefined)).rejects.toMatchObject({ failure: { reason: 'UncleanShutdown' } });
});

test('a machine that dies before its time to shut down is over was not switched off by force', async () => {
  const { context, scope, name } = stage('snapshot', '01J00000000000000000000007');
  await cluster.create(RESOURCES.machines, {
    metadata: { name },
    spec: buildVm(scope, wire(scope, scope.plan.nics)).spec,
  } as never);
  await play(name, { phase: 'Running' });
  const off = shutDown(context, scope, () => writeStatus('instances', name, { phase: 'Failed' }));
  await expect(off).rejects.toMatchObject({
    failure: { reason: 'GuestCrashed', message: 'VM "vm" died while it was shutting down' },
  });
});

test('a machine whose storage is full is not asked to shut down', async () => {
  const { context, scope, name } = stage('snapshot', '01J00000000000000000000006');
  const paused = { type: 'Paused', status: 'True', reason: 'PausedIOError', message: 'low-level IO error' };
  await play(name, { phase: 'Running', conditions: [paused] });
  await expect(shutDown(context, scope, () => new Promise(() => {}))).rejects.toMatchObject({
    failure: { reason: 'StorageFull' },
  });
});
