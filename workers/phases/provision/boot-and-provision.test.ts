import { hash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programCommand } from '../../../common/config/package-root.ts';
import type { ClusterConfig } from '../../../common/config/schema.ts';
import { createFarmKey } from '../../../common/config/sealing.ts';
import { Screen } from '../../../common/console/screen.ts';
import type { FarmEvent } from '../../../common/contracts/events.ts';
import type { DiskOrigin, LayerSpec, NicPlan } from '../../../common/contracts/layers.ts';
import type { CompiledVm } from '../../../common/contracts/module/compiled.ts';
import type { Step } from '../../../common/contracts/module/step-types.ts';
import { ANNOTATIONS } from '../../../common/contracts/object-keys.ts';
import { machineName } from '../../../common/contracts/object-names.ts';
import type { Phase } from '../../../common/contracts/phases.ts';
import { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import type { VirtualMachine } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { waitFor } from '../../../common/kubernetes/wait-for.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import { clusterConfig } from '../../../test/harness/api-server.ts';
import { startEmbeddedCluster } from '../../../test/harness/embedded-cluster.ts';
import { type ServedFile, serveFile } from '../../../test/harness/file-server.ts';
import { guestImages } from '../../../test/harness/guest-images.ts';
import { changedFiles, imageFiles } from '../../../test/harness/image-files.ts';
import { compiledModule, compiledVm, shell } from '../../../test/harness/module-factory.ts';
import { stagePhase } from '../../../test/harness/phase-context.ts';
import { buildNames } from '../../cluster/build-names.ts';
import { EXECUTORS } from '../../executors.ts';
import { Draining } from '../../runtime/drain.ts';
import { resultOf } from '../../runtime/outcome.ts';

/** Real machines on an embedded cluster, reached through the relay of their network. */
const MIB = 1024 ** 2;
const IMAGE = 'relay-for-tests';
const FARM_KEY = createFarmKey('a key for tests that is long enough');
const resources = new ReleaseStack();
let config: ClusterConfig;
/** Not a process of the farm: requests of the test itself need no right. */
let tester: ClusterClient;
let dataDir: string;
let cloudImage: string;
let image: ServedFile;
let iso: ServedFile;

beforeAll(async () => {
  const guests = await guestImages();
  const cluster = await startEmbeddedCluster({ podCommands: { [IMAGE]: programCommand('workers/relay/main') } });
  resources.defer('cluster', () => cluster.stop());
  config = clusterConfig(cluster.kubeconfig, { namespace: 'default', relayImage: IMAGE });
  tester = new ClusterClient(config);
  dataDir = cluster.dataDir ?? '';
  cloudImage = guests.cloudImage;
  image = resources.use('image', await serveFile(guests.cloudImage), (served) => served.stop());
  iso = resources.use('iso', await serveFile(guests.installerIso), (served) => served.stop());
}, 180_000);

afterAll(() => resources.close());

test('boots a cloud image, runs its steps once over two workers, and leaves nothing in it', {
  timeout: 400_000,
}, async () => {
  const content = 'a file { that .stays } as {{ .Name }} it is\n';
  const noise = "printf 'echo Welcome\necho to the lab\n' | tee /root/.bashrc /root/.profile >/root/.bash_profile";
  const newKeys = 'rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key';
  const script = (lines: string) => ({ ...shell(lines), executeCommand: null });
  const steps: Step[] = [
    {
      ...shell('echo "$WHO saw $(cat /proc/sys/kernel/random/boot_id)" | tee -a /root/seen; echo the correct horse'),
      ...{ name: 'first', env: { WHO: 'step one' }, executeCommand: "sh -c '{{ .Command }}'" },
    },
    {
      type: 'file',
      name: null,
      timeoutMs: null,
      destination: '/root/copy',
      fileRef: 'file.txt',
      source: null,
      local: null,
    },
    // Another host key than the one that is pinned, and start files that print.
    script(`${noise}; ${newKeys}`),
    { type: 'reboot', name: null, timeoutMs: 90_000, command: 'reboot' },
    { ...shell(''), scriptFrom: { kind: 'ConfigMap', name: 'scripts', key: 'last', optional: false } },
    // As authors of templates do: all logins are closed, also the farm's.
    script('rm -rf /root/.ssh /root/.bash* /root/.profile /etc/ssh/ssh_host_*'),
  ];
  const last =
    '#!/bin/sh\r\necho begin >>/root/begun; sleep 4; cat /proc/sys/kernel/random/boot_id /root/copy\r\nwc -l </root/begun\r\n';
  await tester.create(RESOURCES.configMaps, { metadata: { name: 'scripts' }, data: { last } });
  const sshPassword = FARM_KEY.seal('correct horse');
  const base = compiledVm();
  const spec = layerSpec(
    { cloudInit: { userData: null, userDataFrom: null, networkData: null }, steps },
    { communicator: { ...base.communicator, sshPassword, sshTimeoutMs: 200_000 }, files: [['file.txt', content]] },
  );
  expect(await execute(spec, 'import')).toMatchObject({ outcome: 'succeeded' });
  expect(await execute(spec, 'boot-keystrokes')).toMatchObject({ outcome: 'succeeded' });

  const firstWorker = new AbortController();
  const first = stage(spec, 'provision', firstWorker.signal);
  const leaving = EXECUTORS.provision.execute(first);
  while (!first.events.some((event) => event.event === 'step-started' && event.step === 4)) await sleep(100);
  await sleep(2_000);
  firstWorker.abort(new Draining());
  await expect(leaving).rejects.toThrow('The worker stops');

  // A guest that lets the farm in no more, as one that a step has sealed before its worker died.
  const sealed = asUser(spec, 'nobody');
  const again = stage(sealed, 'provision');
  const claim = { ...again.claim, formerClaims: 1 };
  const shutOut = { outcome: 'failed', failure: { reason: 'GuestShutOut' } };
  expect(await EXECUTORS.provision.execute({ ...again, claim }).catch(resultOf)).toMatchObject(shutOut);
  // The same, when the worker had come as far as leaving: no image is made of what the farm could not clean.
  const leavingMarks = async (left: string | null) => {
    const annotations = { 'slipway.dev/guest-left': left, 'slipway.dev/shutdown-asked': null };
    await again.cluster.mergePatch(RESOURCES.machines, machineOf('1'), { metadata: { annotations } });
  };
  await leavingMarks('begun');
  expect(await execute(sealed, 'snapshot')).toMatchObject(shutOut);
  await leavingMarks(null);

  const second = stage(spec, 'provision');
  expect(await EXECUTORS.provision.execute(second)).toEqual({ outcome: 'succeeded' });
  const [seen = '', masked, crlf, after, ...rest] = [...lines(first.events), ...lines(second.events)];
  expect(seen).toMatch(/^step one saw [0-9a-f-]{36}$/);
  expect(masked).toBe('the ***');
  expect(crlf).toContain('CRLF');
  expect(after).toMatch(/^[0-9a-f-]{36}$/);
  expect(seen).not.toContain(after);
  expect(rest).toEqual([content.trim(), '1']);
  const finished = [...first.events, ...second.events].filter((event) => event.event === 'step-finished');
  const outcomes = new Map(finished.map(({ step, outcome }) => [step, outcome]));
  expect([...outcomes]).toEqual([0, 1, 2, 3, 4, 5].map((step) => [step, 'succeeded']));
  // The phase is delivered again after its worker died behind the last step, when logins are refused.
  expect(await EXECUTORS.provision.execute(stage(spec, 'provision'))).toEqual({ outcome: 'succeeded' });

  expect(await execute(spec, 'snapshot')).toMatchObject({ outcome: 'succeeded' });
  const { disk } = buildNames({ layerBuild: layerBuildOf('1'), generation: 1 });
  const snapshot = await tester.get(RESOURCES.snapshots, disk('main', 'root'));
  const layers = join(dataDir, 'layers', 'frozen');
  const layer = (await readdir(layers)).find((name) => name.startsWith(snapshot?.metadata?.uid ?? 'none'));
  const captured = await imageFiles(join(layers, layer ?? 'none'));
  const changed = changedFiles(await imageFiles(cloudImage), captured);
  // The guest itself keeps its address and name, and what stands for cloud-init in it a folder of its own.
  const byGuest = ['~/etc/hostname', '~/etc/hosts', '+/etc/resolv.conf', '+/var/log/cloud-seed.log'];
  const bySteps = ['+/root/begun', '+/root/copy', '+/root/seen'];
  expect(changed.filter((path) => !path.startsWith('+/var/lib/cloud')).sort()).toEqual([...byGuest, ...bySteps].sort());
  const traces = [...captured].filter(([, file]) => /slipway|ssh-ed25519 AAAA/.test(file.content.toString('latin1')));
  expect(traces.map(([path]) => path)).toEqual([]);
});

test('types a boot line at an installer over two workers, and believes its power-off', {
  timeout: 120_000,
}, async () => {
  const answers = 'hostname={{ .Name }}\nssh_key={{ .SSHPublicKey }}\nfinish=poweroff\n';
  const bootCommand = ['<wait3>install answers=http://{{ .HTTPIP }}:{{ .HTTPPort }}/answers.cfg<enter>'];
  const spec = layerSpec(
    { source: { kind: 'blank' }, isos: [{ url: iso.url, credentials: null, checksum: null }], bootCommand },
    { files: [['answers.cfg', answers]], served: ['answers.cfg'], layerBuild: '2' },
  );
  expect(await execute(spec, 'import', '2')).toMatchObject({ outcome: 'succeeded' });
  const drain = new AbortController();
  const first = stage(spec, 'boot-keystrokes', drain.signal, '2');
  const leaving = EXECUTORS['boot-keystrokes'].execute(first);
  const isBegun = (vm: VirtualMachine | undefined) => vm?.metadata?.annotations?.[ANNOTATIONS.typing] === 'begun';
  const wait = { signal: first.unwanted, deadlineMs: 60_000, what: 'the first key' };
  await waitFor(
    tester,
    { resource: RESOURCES.machines, name: machineOf('2') },
    {
      ...wait,
      until: (vm) => isBegun(vm) || undefined,
    },
  );
  drain.abort(new Draining());
  await expect(leaving).rejects.toThrow('The worker stops');
  const paused = await tester.get(RESOURCES.machines, machineOf('2'));
  expect(paused?.metadata?.annotations?.[ANNOTATIONS.typing]).toMatch(/^paused \d+ \d+$/);
  expect(await execute(spec, 'boot-keystrokes', '2')).toMatchObject({ outcome: 'succeeded' });

  // A later claim finds it typed; one that finds typing only begun trusts nothing.
  expect(await execute(spec, 'boot-keystrokes', '2')).toMatchObject({ outcome: 'succeeded' });
  const patch = { metadata: { annotations: { [ANNOTATIONS.typing]: 'begun' } } };
  await tester.mergePatch(RESOURCES.machines, machineOf('2'), patch);
  const again = await execute(spec, 'boot-keystrokes', '2');
  expect(again).toMatchObject({ outcome: 'failed', failure: { reason: 'TypingInterrupted' } });
});

test('a machine that ends while it is typed at has crashed', { timeout: 60_000 }, async () => {
  const spec = layerSpec(
    { source: { kind: 'blank' }, bootCommand: ['<wait5m>x'], shutdownTimeoutMs: 1_000 },
    { layerBuild: '4' },
  );
  expect(await execute(spec, 'import', '4')).toMatchObject({ outcome: 'succeeded' });
  const context = stage(spec, 'boot-keystrokes', undefined, '4');
  let isTyping = () => {};
  const typing = new Promise<void>((resolve) => {
    isTyping = resolve;
  });
  const consoles = { hold: async () => ({ screen: new Screen(1, 1), show: isTyping, release: async () => {} }) };
  const booting = EXECUTORS['boot-keystrokes'].execute({ ...context, consoles }).catch(resultOf);
  await typing;
  await tester.delete(RESOURCES.instances, machineOf('4'), { gracePeriodSeconds: 0 });
  expect(await booting).toMatchObject({ outcome: 'failed', failure: { reason: 'GuestCrashed' } });
});

test('shows the screen of a guest that never answers', { timeout: 60_000 }, async () => {
  const base = compiledVm();
  const communicator = { ...base.communicator, sshTimeoutMs: 4_000 };
  const spec = layerSpec({ source: { kind: 'blank' }, communicator }, { layerBuild: '3' });
  expect(await execute(spec, 'import', '3')).toMatchObject({ outcome: 'succeeded' });
  const context = stage(spec, 'boot-keystrokes', undefined, '3');
  expect(await EXECUTORS['boot-keystrokes'].execute(context)).toMatchObject({
    outcome: 'failed',
    failure: { reason: 'GuestNeverAnswered', screenshot: true },
  });
  expect(context.screenshots[0]?.subarray(1, 4).toString()).toBe('PNG');
});

interface SpecOptions {
  readonly communicator?: CompiledVm['communicator'];
  /** Name and content. */
  readonly files?: readonly (readonly [string, string])[];
  readonly served?: readonly string[];
  readonly layerBuild?: string;
}

/** One VM `main` on a closed network. */
function layerSpec(given: Partial<CompiledVm>, options: SpecOptions): LayerSpec {
  const { communicator, files = [], served = [], layerBuild = '1' } = options;
  const vm = { ...given, ...(communicator ? { communicator } : {}) };
  const module = compiledModule({
    name: 'lab',
    files: files.map(([name, content]) => ({ name, kind: 'inline', content })),
    httpDirectory: served,
    vms: [vm],
  });
  const subnet = `10.8${layerBuild}.0`;
  const nics: NicPlan[] = [
    { name: 'nic1', subnet: 'net', model: 'e1000', slot: 1, mac: '02:00:00:00:00:05', ip: `${subnet}.5` },
  ];
  const origin: DiskOrigin =
    vm.source?.kind === 'blank'
      ? { kind: 'blank' }
      : { kind: 'url', url: image.url, checksum: null, identity: `sha256:${image.sha256}` };
  return {
    schema: 1,
    layerKey: hash('sha256', layerBuild),
    module,
    vms: [
      {
        name: 'main',
        disks: [{ name: 'root', sizeBytes: 256 * MIB, bus: 'virtio', storageClass: null, origin }],
        isos: (vm.isos ?? []).map(({ url, checksum }) => ({ url, checksum, identity: `sha256:${iso.sha256}` })),
        nics,
        templateNics: nics,
        cpu: 1,
        memoryBytes: 256 * MIB,
      },
    ],
    network: {
      vpcs: [{ name: 'lab', internet: false }],
      subnets: [
        {
          ...{ name: 'net', vpc: 'lab', cidr: `${subnet}.0/24`, gateway: `${subnet}.1` },
          ...{ dhcp: true, dns: [], unmanaged: false, relay: `${subnet}.254`, egress: null },
        },
      ],
    },
    fileHashes: {},
    objects: {},
  };
}

/** The same for another account, which the guest does not let in. */
function asUser(spec: LayerSpec, sshUsername: string): LayerSpec {
  const vms = spec.module.vms.map((vm) => {
    return { ...vm, communicator: { ...vm.communicator, sshUsername, sshPassword: null, sshTimeoutMs: 3_000 } };
  });
  return { ...spec, module: { ...spec.module, vms } };
}

function machineOf(id: string): string {
  return machineName({ layerBuild: layerBuildOf(id), generation: 1 }, 'main');
}

function layerBuildOf(id: string): string {
  return id.padStart(26, '0');
}

function stage(spec: LayerSpec, phase: Phase, signal?: AbortSignal, id = '1') {
  const staged = { clusterConfig: config, spec, vm: 'main', phase, layerBuild: layerBuildOf(id) };
  return stagePhase(signal ? { ...staged, signal } : staged);
}

function execute(spec: LayerSpec, phase: Phase, id = '1') {
  return EXECUTORS[phase].execute(stage(spec, phase, undefined, id)).catch(resultOf);
}

function lines(events: readonly FarmEvent[]): string[] {
  return events.flatMap((event) => (event.event === 'log' && event.source === 'step' ? [event.line] : []));
}
