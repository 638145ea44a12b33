import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import ssh2, { type ClientChannel } from 'ssh2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../../common/clock/clock.ts';
import { programCommand } from '../../../common/config/package-root.ts';
import type { ClusterConfig } from '../../../common/config/schema.ts';
import { guestRoute } from '../../../common/contracts/guest-route.ts';
import type { LayerSpec, NicPlan } from '../../../common/contracts/layers.ts';
import type { Phase } from '../../../common/contracts/phases.ts';
import { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { startMachine } from '../../../common/kubernetes/machine-actions.ts';
import { connectThroughRelay } from '../../../common/kubernetes/relay-tunnel.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../../common/kubernetes/teardown.ts';
import { waitFor } from '../../../common/kubernetes/wait-for.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import type { SshKeyPair } from '../../../common/ssh/key-pair.ts';
import { clusterConfig } from '../../../test/harness/api-server.ts';
import { startEmbeddedCluster } from '../../../test/harness/embedded-cluster.ts';
import { type ServedFile, serveFile } from '../../../test/harness/file-server.ts';
import { guestImages } from '../../../test/harness/guest-images.ts';
import { imageFiles } from '../../../test/harness/image-files.ts';
import { compiledModule } from '../../../test/harness/module-factory.ts';
import { stagePhase } from '../../../test/harness/phase-context.ts';
import { ensureBuildKey } from '../../cluster/build-key.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { openGuestAccess } from '../../guest/guest-access.ts';
import { cleanGuest, guestShutdown } from '../../guest/shutdown.ts';
import { buildVm } from '../../machines/build-vm.ts';
import { ensureNetwork } from '../../networks/ensure-network.ts';
import { wire } from '../../networks/kube-ovn.ts';
import { ensureRelays } from '../../networks/relays.ts';
import { importExecutor } from '../import/import-executor.ts';
import { createSnapshotExecutor } from './snapshot-executor.ts';

const MIB = 1024 ** 2;
const IMAGE = 'relay-for-tests';
const resources = new ReleaseStack();
let config: ClusterConfig;
let dataDir: string;
/** Not a process of the farm: requests of the test itself need no right. */
let tester: ClusterClient;
let image: ServedFile;

beforeAll(async () => {
  const cluster = await startEmbeddedCluster({ podCommands: { [IMAGE]: programCommand('workers/relay/main') } });
  resources.defer('cluster', () => cluster.stop());
  config = clusterConfig(cluster.kubeconfig, { namespace: 'default', relayImage: IMAGE });
  dataDir = cluster.dataDir ?? '';
  tester = new ClusterClient(config);
  const { cloudImage } = await guestImages();
  image = resources.use('image', await serveFile(cloudImage), (served) => served.stop());
}, 300_000);

afterAll(() => resources.close());

/** One VM, either of the tiny guest's image or of a blank disk. */
function spec(kind: 'guest' | 'blank', shutdownTimeoutMs: number): LayerSpec {
  const nics: NicPlan[] = [
    { name: 'nic1', subnet: 'net', model: 'e1000', slot: 1, mac: '02:00:00:00:00:05', ip: '10.78.0.5' },
  ];
  const checksum = { algorithm: 'sha256', hex: image.sha256 } as const;
  const url = { kind: 'url', url: image.url, checksum, identity: `sha256:${image.sha256}` } as const;
  const origin = kind === 'guest' ? url : ({ kind: 'blank' } as const);
  const cloudInit = kind === 'guest' ? { userData: null, userDataFrom: null, networkData: null } : null;
  const disk = { bus: 'virtio', storageClass: null } as const;
  return {
    schema: 1,
    layerKey: 'cd'.repeat(32),
    module: compiledModule({
      name: 'base',
      labels: { course: 'net-101' },
      timeoutMs: 60_000,
      vms: [{ name: 'web', cloudInit, shutdownTimeoutMs, resources: { cpu: 1, memoryBytes: 256 * MIB } }],
    }),
    vms: [
      {
        name: 'web',
        disks: [
          { ...disk, name: 'root', sizeBytes: 1024 * MIB, origin },
          { ...disk, name: 'data', sizeBytes: 8 * MIB, origin: { kind: 'blank' } },
        ],
        ...{ isos: [], nics, templateNics: nics, cpu: 1, memoryBytes: 256 * MIB },
      },
    ],
    network: {
      vpcs: [{ name: 'lab', internet: false }],
      subnets: [
        {
          ...{ name: 'net', vpc: 'lab', cidr: '10.78.0.0/24', gateway: '10.78.0.1' },
          ...{ dhcp: true, dns: [], unmanaged: false, relay: '10.78.0.254', egress: null },
        },
      ],
    },
    fileHashes: {},
    objects: {},
  };
}

function stage(phase: Phase, layerSpec: LayerSpec, layerBuild: string) {
  const staged = stagePhase({ clusterConfig: config, spec: layerSpec, vm: 'web', phase, layerBuild });
  return { ...staged, scope: buildScope(staged) };
}

type Staged = ReturnType<typeof stage>;

async function untilRunning({ signal }: Staged, name: string): Promise<void> {
  await waitFor(
    tester,
    { resource: RESOURCES.instances, name },
    {
      ...{ signal, deadlineMs: 60_000, what: 'the VMI to run' },
      until: (vmi) => (vmi?.status?.phase === 'Running' ? true : undefined),
    },
  );
}

async function boot(staged: Staged): Promise<string> {
  const vm = await tester.createIfAbsent(
    RESOURCES.machines,
    buildVm(staged.scope, wire(staged.scope, staged.scope.plan.nics)),
  );
  const name = vm.metadata?.name ?? '';
  await startMachine(tester, name);
  await ensureRelays({ ...staged, cluster: tester }, staged.scope);
  await untilRunning(staged, name);
  return name;
}

/** Runs a command in the guest through the relay, as soon as it lets us in. */
async function inGuest(staged: Staged, key: SshKeyPair, command: string): Promise<string> {
  const route = guestRoute(staged.scope);
  if (!route) throw new Error('no route');
  for (;;) {
    try {
      const sock = await connectThroughRelay(tester, staged.scope.names.relay(route.vpc), {
        host: route.nic.ip ?? '',
        port: 22,
      });
      const client = new ssh2.Client();
      const ready = once(client, 'ready');
      client.connect({ sock, username: 'root', privateKey: key.privateKey, readyTimeout: 20_000 });
      await ready;
      const channel = await new Promise<ClientChannel>((resolve, reject) =>
        client.exec(command, (error, opened) => (error ? reject(error) : resolve(opened))),
      );
      const output = await text(channel);
      // The guest may go down, and cut it, before it has ended the session.
      client.on('error', () => client.destroy()).end();
      return output.trim();
    } catch {
      await systemClock.after(500);
    }
  }
}

test('captures a guest that went down in order, and starts its template again', async () => {
  const layerBuild = '01J00000000000000000000010';
  const layerSpec = spec('guest', 60_000);
  const imported = stage('import', layerSpec, layerBuild);
  await importExecutor.execute(imported);
  const key = await ensureBuildKey(imported.cluster, imported.scope, imported.signal);
  await boot(imported);
  const done = await inGuest(imported, key, 'echo built > /etc/marker && sync && nslookup web && cat /etc/marker');
  expect(done).toContain('10.78.0.5');
  expect(done).toMatch(/built$/);

  const captured = stage('snapshot', layerSpec, layerBuild);
  // A worker that has cleaned the guest and is killed before it asks: its successor gets in.
  const access = await openGuestAccess(captured, captured.scope, { signal: captured.signal });
  await cleanGuest(captured, access);
  access.link.close();
  expect(await inGuest(imported, key, 'echo let in')).toBe('let in');

  // A guest that cannot be asked gets the power button; KubeVirt deletes its VMI then, and yet its end must be seen.
  const askGuest = async () => {
    throw new Error('no shell here');
  };
  const result = await createSnapshotExecutor(askGuest).execute(captured);
  const { names } = captured.scope;
  const disk = { bus: 'virtio', ownBytes: expect.any(Number), usedBytes: expect.any(Number) };
  const layerVm = {
    vm: 'web',
    template: names.template('web'),
    disks: [
      { ...disk, name: 'root', snapshot: names.disk('web', 'root'), sizeBytes: 1024 * MIB },
      { ...disk, name: 'data', snapshot: names.disk('web', 'data'), sizeBytes: 8 * MIB },
    ],
    firmware: 'bios',
    nicModels: ['e1000'],
    architecture: 'amd64',
  };
  expect(result).toEqual({ outcome: 'succeeded', layerVm });

  // The phase is delivered again after its worker died behind the last step.
  expect(await createSnapshotExecutor().execute(captured)).toEqual(result);

  // What is left when the sweep has removed what was needed for building only.
  const teardown = {
    farm: 'test',
    network: 'kube-ovn' as const,
    identity: { layerBuild, generation: 1 },
    signal: captured.signal,
    deadlineMs: 60_000,
  };
  await teardownBuild(tester, teardown);
  // The farm makes no quotas, and the embedded cluster serves none.
  const made = Object.values(RESOURCES).filter((resource) => resource !== RESOURCES.quotas);
  const roles = await Promise.all(
    made.map(async (resource) => {
      const { items } = await tester.list(resource, { labels: { 'slipway.dev/layer-build': layerBuild } });
      return items.map(({ kind, metadata }) => `${kind} ${metadata?.labels?.['slipway.dev/role']}`);
    }),
  );
  expect(roles.flat().sort()).toEqual(['VirtualMachine template', 'VolumeSnapshot layer', 'VolumeSnapshot layer']);

  await ensureNetwork(tester, { scope: captured.scope, clusterConfig: config, signal: captured.signal });
  await ensureRelays({ ...captured, cluster: tester }, captured.scope);
  await startMachine(tester, layerVm.template);
  await untilRunning(captured, layerVm.template);
  expect(await inGuest(captured, key, 'cat /etc/marker')).toBe('built');
  await tester.delete(RESOURCES.machines, layerVm.template);
  await teardownBuild(tester, teardown);
}, 240_000);

test('a successor of a killed worker runs the `shutdownCommand`', { timeout: 120_000 }, async () => {
  const layerBuild = '01J00000000000000000000012';
  const given = spec('guest', 60_000);
  const vms = given.module.vms.map((vm) => ({ ...vm, shutdownCommand: 'echo by the module >/etc/down; poweroff' }));
  const layerSpec = { ...given, module: { ...given.module, vms } };
  const imported = stage('import', layerSpec, layerBuild);
  await importExecutor.execute(imported);
  const key = await ensureBuildKey(imported.cluster, imported.scope, imported.signal);
  await boot(imported);
  await inGuest(imported, key, 'true');
  const killed = stage('snapshot', layerSpec, layerBuild);
  const access = await openGuestAccess(killed, killed.scope, { signal: killed.signal });
  await cleanGuest(killed, access);
  access.link.close();
  const captured = stage('snapshot', layerSpec, layerBuild);
  expect(await createSnapshotExecutor(guestShutdown).execute(captured)).toMatchObject({ outcome: 'succeeded' });
  const snapshot = await tester.get(RESOURCES.snapshots, captured.scope.names.disk('web', 'root'));
  const layers = join(dataDir, 'layers', 'frozen');
  const layer = (await readdir(layers)).find((name) => name.startsWith(snapshot?.metadata?.uid ?? 'none'));
  const files = await imageFiles(join(layers, layer ?? 'none'));
  expect(files.get('/etc/down')?.content.toString()).toBe('by the module\n');
  const { signal } = captured;
  const identity = { layerBuild, generation: 1 };
  await teardownBuild(tester, { farm: 'test', network: 'kube-ovn', identity, signal, deadlineMs: 60_000 });
});

test('refuses to capture a machine that had to be switched off by force', async () => {
  const layerBuild = '01J00000000000000000000011';
  const layerSpec = spec('blank', 1000);
  const imported = stage('import', layerSpec, layerBuild);
  await importExecutor.execute(imported);
  await boot(imported);
  const captured = stage('snapshot', layerSpec, layerBuild);
  // The question hangs as long as it may.
  const askGuest = (context: PhaseContext) => systemClock.after(600_000, context.signal);
  const failure = await createSnapshotExecutor(askGuest)
    .execute(captured)
    .catch((error) => error.failure);
  expect(failure).toMatchObject({ reason: 'UncleanShutdown', message: expect.stringContaining('by force') });
  expect(captured.screenshots[0]?.subarray(1, 4).toString()).toBe('PNG');
  const labels = { 'slipway.dev/layer-build': layerBuild };
  expect((await tester.list(RESOURCES.snapshots, { labels })).items).toEqual([]);
  const identity = { layerBuild, generation: 1 };
  await teardownBuild(tester, {
    farm: 'test',
    network: 'kube-ovn',
    identity,
    signal: captured.signal,
    deadlineMs: 60_000,
  });
}, 120_000);
