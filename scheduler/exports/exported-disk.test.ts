import { execFile } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { configSchema } from '../../common/config/schema.ts';
import { ApiError } from '../../common/kubernetes/api-error.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { userAgent } from '../../common/kubernetes/user-agent.ts';
import { waitFor, waitForSet } from '../../common/kubernetes/wait-for.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from '../../test/harness/embedded-cluster.ts';
import { serveFile } from '../../test/harness/file-server.ts';
import { sweepExportedOnce } from '../catalog/sweep-exported.ts';
import type { DiskPlace, ExportCluster } from './disk-reading.ts';
import { isUnserved, withExportedDisk } from './exported-disk.ts';
import { makeFileInThread } from './file-thread.ts';
import { readerPod } from './reader-pod.ts';

/** With a hole, as disks have them. */
const CONTENT = Buffer.concat([randomBytes(3 << 20), Buffer.alloc(5 << 20), randomBytes(1 << 20)]);
const IMAGE = 'slipway:test';
const LEFT: readonly Resource[] = [RESOURCES.pods, RESOURCES.dataVolumes, RESOURCES.claims, RESOURCES.secrets];
const { signal } = new AbortController();
const resources = new ReleaseStack();
let folder: string;
let source: { readonly url: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-exported-'));
  resources.defer('folder', () => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'raw'), CONTENT);
  const image = join(folder, 'disk.qcow2');
  await promisify(execFile)('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', join(folder, 'raw'), image]);
  source = resources.use('source', await serveFile(image), (served) => served.stop());
});

afterAll(() => resources.close());

/** A cluster with a snapshot `layer` of the content, as the scheduler sees it. */
async function clusterWithLayer(
  absentGroups: readonly string[],
): Promise<ExportCluster & Pick<EmbeddedCluster, 'restart'>> {
  const podCommands = { [IMAGE]: programCommand('workers/relay/main') };
  const embedded = await startEmbeddedCluster({ podCommands, config: { namespaces: ['slipway'], absentGroups } });
  resources.defer('cluster', () => embedded.stop());
  const cluster = { name: 'lab', kubeconfig: embedded.kubeconfig, relayImage: IMAGE };
  const [config] = configSchema.parse({ clusters: [cluster] }).clusters;
  if (!config) throw new Error('One cluster was configured.');
  const stranger = new ClusterClient(config);
  const storage = { resources: { requests: { storage: '16Mi' } } };
  const spec = { source: { http: { url: source.url } }, storage };
  await stranger.create(RESOURCES.dataVolumes, { metadata: { name: 'layer' }, spec });
  const wait = { signal, deadlineMs: 30_000, what: 'the layer' };
  const until = (volume: { status?: { phase?: string } } | undefined) =>
    volume?.status?.phase === 'Succeeded' || undefined;
  await waitFor(stranger, { resource: RESOURCES.dataVolumes, name: 'layer' }, { ...wait, until });
  await stranger.create(RESOURCES.snapshots, {
    metadata: { name: 'layer' },
    spec: { source: { persistentVolumeClaimName: 'layer' } },
  });
  const client = new ClusterClient(config, { userAgent: userAgent('scheduler') });
  return { client, config, farm: 'test', restart: () => embedded.restart() };
}

test.each([
  ['by a VirtualMachineExport', []],
  ['by a pod of the farm where the cluster serves none', ['export.kubevirt.io']],
])('a disk is read %s, and nothing of it stays', async (_, absentGroups) => {
  const cluster = await clusterWithLayer(absentGroups);
  const to = join(folder, `read-${absentGroups.length}`);
  const found: DiskPlace[] = [];
  const read = async (places: readonly DiskPlace[]) => {
    found.push(...places);
    return await makeFileInThread({ places, format: 'raw', to }, { signal, onProgress: () => {} });
  };
  const sha256 = await withExportedDisk(cluster, { snapshot: 'layer', signal, read });
  const bytes = await readFile(to);
  expect(hash('sha256', bytes)).toBe(sha256);
  expect(bytes.subarray(0, CONTENT.length).equals(CONTENT)).toBe(true);
  expect(bytes.subarray(CONTENT.length).every((byte) => byte === 0)).toBe(true);
  expect(found).toMatchObject([
    absentGroups.length > 0
      ? { pod: expect.stringMatching(/^sw-export-/) }
      : { url: expect.stringMatching(/^https:\/\/127\.0\.0\.1:/) },
  ]);
  const stranger = new ClusterClient(cluster.config);
  const labels = 'slipway.dev/role=export';
  const until = (left: ReadonlyMap<string, unknown>) => left.size === 0 || undefined;
  for (const resource of LEFT) {
    await waitForSet(stranger, { resource, labels }, { signal, deadlineMs: 20_000, what: resource.plural, until });
  }
});

test('a disk is read over a restart of its cluster', async () => {
  const cluster = await clusterWithLayer([]);
  const to = join(folder, 'restarted');
  const read = async (places: readonly DiskPlace[]) => {
    await cluster.restart();
    return await makeFileInThread({ places, format: 'raw', to }, { signal, onProgress: () => {} });
  };
  const sha256 = await withExportedDisk(cluster, { snapshot: 'layer', signal, read });
  expect(hash('sha256', await readFile(to))).toBe(sha256);
});

test('what a scheduler that died left is removed when no export can need it any more', async () => {
  const cluster = await clusterWithLayer(['export.kubevirt.io']);
  const { client } = cluster;
  vi.spyOn(client, 'delete').mockResolvedValueOnce(true);
  const died = new Error('the scheduler died');
  const reading = withExportedDisk(cluster, { snapshot: 'layer', signal, read: () => Promise.reject(died) });
  await expect(reading).rejects.toBe(died);
  const stranger = new ClusterClient(cluster.config);
  const selection = { labels: { 'slipway.dev/role': 'export' } };
  const left = async () => (await stranger.list(RESOURCES.pods, selection)).items.length;
  const logger = createLogger({ name: 'test', level: 'silent' });
  const at = (hours: number) => ({
    ...systemClock,
    now: () => Date.now() + hours * 3_600_000,
    after: systemClock.after,
  });
  await sweepExportedOnce({ cluster: client, farm: 'test', clock: at(5.9), logger }, signal);
  await sweepExportedOnce({ cluster: client, farm: 'another', clock: at(6.1), logger }, signal);
  expect(await left()).toBe(1);
  await sweepExportedOnce({ cluster: client, farm: 'test', clock: at(6.1), logger }, signal);
  await expect.poll(left).toBe(0);
  expect((await stranger.list(RESOURCES.claims, selection)).items).toEqual([]);
});

test('a block device is handed to the reader as one', () => {
  const { spec } = readerPod({ name: 'x' }, { image: IMAGE, isBlock: true });
  const [container] = Object(spec)['containers'];
  expect(container).toMatchObject({ args: ['--disk', '/dev/disk', '--control-port', '7070'] });
  expect(container).toMatchObject({ volumeDevices: [{ name: 'disk', devicePath: '/dev/disk' }] });
  expect(container).not.toHaveProperty('volumeMounts');
  expect(spec).toMatchObject({ activeDeadlineSeconds: 21_600, securityContext: { runAsUser: 107, fsGroup: 107 } });
});

test.each([
  ['without the definition', new ApiError(404, 'NotFound', 'the server could not find the requested resource'), true],
  [
    'with the feature gate off, by the webhook of KubeVirt',
    new ApiError(
      400,
      'BadRequest',
      'admission webhook "virtualmachineexport-validator.export.kubevirt.io" denied the request: vm export feature gate not enabled',
    ),
    true,
  ],
  ['but not with another refusal', new ApiError(422, 'Invalid', 'spec.source: Required value'), false],
])('a cluster is known to serve no exports %s', (_, error, expected) => {
  expect(isUnserved(error)).toBe(expected);
});
