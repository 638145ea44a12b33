import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programCommand } from '../../../common/config/package-root.ts';
import type { ClusterConfig } from '../../../common/config/schema.ts';
import type { DiskOrigin, LayerRecord, LayerSpec, NicPlan, VmPlan } from '../../../common/contracts/layers.ts';
import { LABELS } from '../../../common/contracts/object-keys.ts';
import type { PhaseStore } from '../../../common/contracts/phase-store.ts';
import { validatorIdentity } from '../../../common/contracts/source-validator.ts';
import { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { connectThroughRelay } from '../../../common/kubernetes/relay-tunnel.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../../common/kubernetes/teardown.ts';
import { waitUntilGone } from '../../../common/kubernetes/wait-for.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import { clusterConfig } from '../../../test/harness/api-server.ts';
import { startEmbeddedCluster } from '../../../test/harness/embedded-cluster.ts';
import { type ServedFile, serveFile } from '../../../test/harness/file-server.ts';
import { startImageRegistry } from '../../../test/harness/image-registry.ts';
import { layerRecord } from '../../../test/harness/layer-factory.ts';
import { compiledModule } from '../../../test/harness/module-factory.ts';
import { stagePhase, TEST_FARM_KEY } from '../../../test/harness/phase-context.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import { ensureNetwork } from '../../networks/ensure-network.ts';
import { areUsedAtBoot, ensureServices, requestServices } from '../../networks/network-services.ts';
import { captureDisks } from '../snapshot/capture.ts';
import { withLogin } from './cloud-init.ts';
import { importExecutor } from './import-executor.ts';

const run = promisify(execFile);
const MIB = 1024 ** 2;
const IMAGE = 'relay-for-tests';
const NOTHING_TOLD = { userData: null, userDataFrom: null, networkData: null };
const NOT_THERE = { kind: 'ConfigMap', name: 'not-there', key: 'userdata', optional: true } as const;
const resources = new ReleaseStack();
let config: ClusterConfig;
let image: ServedFile;
let imagePath: string;
let iso: ServedFile;

beforeAll(async () => {
  const cluster = await startEmbeddedCluster({ podCommands: { [IMAGE]: programCommand('workers/relay/main') } });
  resources.defer('cluster', () => cluster.stop());
  config = clusterConfig(cluster.kubeconfig, { namespace: 'default', relayImage: IMAGE });
  const directory = await mkdtemp(join(tmpdir(), 'import-'));
  resources.defer('images', () => rm(directory, { recursive: true }));
  imagePath = join(directory, 'image.qcow2');
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', imagePath, String(64 * MIB)]);
  await writeFile(join(directory, 'media.iso'), Buffer.alloc(MIB, 7));
  image = resources.use('image', await serveFile(imagePath), (served) => served.stop());
  iso = resources.use('iso', await serveFile(join(directory, 'media.iso')), (served) => served.stop());
}, 120_000);

afterAll(() => resources.close());

function nic(ip: string): NicPlan {
  const mac = `02:00:00:00:00:${ip.split('.')[3]?.padStart(2, '0')}`;
  return { name: 'nic1', subnet: 'net', model: 'e1000', slot: 1, mac, ip };
}

function vmPlan(name: string, ip: string, origin: DiskOrigin): VmPlan {
  const disk = { name: 'root', sizeBytes: 128 * MIB, bus: 'virtio', storageClass: null, origin } as const;
  const nics = [nic(ip)];
  return { name, disks: [disk], isos: [], nics, templateNics: nics, cpu: 1, memoryBytes: 128 * MIB };
}

/** Two VMs on one closed network that start from the same image. */
function labSpec(origin: DiskOrigin): LayerSpec {
  const module = compiledModule({
    name: 'lab',
    timeoutMs: 60_000,
    files: [
      { name: 'ks.cfg', kind: 'inline', content: 'url http://{{ .HTTPIP }}:{{ .HTTPPort }}/ {{ .Unknown }} {{.Name}}' },
      { name: 'user-data', kind: 'inline', content: 'I am {{ .Name }}, reach me by {{ .SSHPublicKey }}' },
    ],
    httpDirectory: ['ks.cfg'],
    vms: [
      {
        name: 'web',
        floppy: ['user-data'],
        cloudInit: { userData: null, userDataFrom: NOT_THERE, networkData: 'version: 2' },
      },
      { name: 'db' },
    ],
  });
  const web = vmPlan('web', '10.77.0.5', origin);
  const isoPlan = { url: iso.url, checksum: null, identity: `iso:${iso.sha256}` };
  return {
    schema: 1,
    layerKey: 'ab'.repeat(32),
    module,
    vms: [
      { ...web, isos: [isoPlan], disks: [...web.disks, { ...diskOf(web), name: 'data', origin: { kind: 'blank' } }] },
      vmPlan('db', '10.77.0.6', origin),
    ],
    network: {
      vpcs: [{ name: 'lab', internet: false }],
      subnets: [
        {
          ...{ name: 'net', vpc: 'lab', cidr: '10.77.0.0/24', gateway: '10.77.0.1' },
          ...{ dhcp: true, dns: [], unmanaged: false, relay: '10.77.0.254', egress: null },
        },
      ],
    },
    fileHashes: {},
    objects: {},
  };
}

function diskOf({ disks }: VmPlan): VmPlan['disks'][number] {
  const [disk] = disks;
  if (!disk) throw new Error('no disk');
  return disk;
}

function urlOrigin(hex: string, url = image.url): DiskOrigin {
  return { kind: 'url', url, checksum: { algorithm: 'sha256', hex }, identity: `sha256:${hex}` };
}

async function secretValues(cluster: ClusterClient, suffix: string): Promise<Record<string, string>> {
  const { items } = await cluster.list(RESOURCES.secrets);
  const data = items.find(({ metadata }) => metadata?.name?.endsWith(suffix))?.data ?? {};
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}

test('imports a shared source once, and makes everything that the machines need', async () => {
  const spec = labSpec(urlOrigin(image.sha256));
  const cluster = new ClusterClient(config);
  const [web, db] = ['web', 'db'].map((vm) => stagePhase({ clusterConfig: config, spec, vm, phase: 'import' }));
  if (!web || !db) throw new Error('unreachable');
  const results = await Promise.all([importExecutor.execute(web), importExecutor.execute(db)]);
  expect(results).toEqual([{ outcome: 'succeeded' }, { outcome: 'succeeded' }]);
  expect(image.downloads()).toBe(1);

  const volumes = await cluster.list(RESOURCES.dataVolumes, { labels: { 'slipway.dev/role': 'build' } });
  expect(
    volumes.items.map(({ metadata, status }) => `${metadata?.name?.split('-g1-')[1]} ${status?.phase}`).sort(),
  ).toEqual(['disk-db-root Succeeded', 'disk-web-data Succeeded', 'disk-web-root Succeeded', 'iso-web-0 Succeeded']);

  const key = (await secretValues(cluster, '-ssh'))['id_ed25519.pub'];
  expect(key).toMatch(/^ssh-ed25519 /);
  const { userdata = '', networkdata } = await secretValues(cluster, '-cloud-init-web');
  expect(userdata).toBe(String(withLogin(null, { username: 'root', publicKeys: [key?.trim() ?? ''] })));
  expect(networkdata).toBe('version: 2');
  expect(await secretValues(cluster, '-answers-web')).toEqual({ 'user-data': `I am web, reach me by ${key}` });

  const { items: pods } = await cluster.list(RESOURCES.pods, { labels: { 'slipway.dev/role': 'build' } });
  const relay = pods[0]?.metadata?.name ?? '';
  const stream = await connectThroughRelay(cluster, relay, { host: '10.77.0.254', port: 8080 });
  stream.write('GET /ks.cfg HTTP/1.0\r\n\r\n');
  expect((await text(stream)).split('\r\n\r\n')[1]).toBe('url http://10.77.0.254:8080/ {{ .Unknown }} {{.Name}}');

  // A second claim adopts all of it, but for a relay that was evicted.
  const ended = { status: { phase: 'Failed', reason: 'Evicted' } };
  const path = `${cluster.path(RESOURCES.pods, relay, {})}/status`;
  await cluster.call({ method: 'PATCH', path, body: ended, contentType: 'application/merge-patch+json' });
  expect(await importExecutor.execute(web)).toEqual({ outcome: 'succeeded' });
  expect(image.downloads()).toBe(1);

  const identity = { layerBuild: '01J00000000000000000000000', generation: 1 };
  await teardownBuild(cluster, { farm: 'test', network: 'kube-ovn', identity, signal: web.signal, deadlineMs: 60_000 });
  // The farm makes no quotas, and the embedded cluster serves none.
  const made = Object.values(RESOURCES).filter((resource) => resource !== RESOURCES.quotas);
  const left = await Promise.all(
    made.map(async (resource) => {
      const { items } = await cluster.list(resource, { labels: 'slipway.dev/farm=test' });
      return items.map(({ kind, metadata }) => `${kind} ${metadata?.labels?.['slipway.dev/role']}`);
    }),
  );
  // Shared sources stay: an image and an ISO, each with its claim and snapshot.
  expect(left.flat().sort()).toEqual([
    ...Array(2).fill('DataVolume source'),
    ...Array(2).fill('PersistentVolumeClaim source'),
    ...Array(2).fill('VolumeSnapshot source'),
  ]);
}, 120_000);

test('fails with the reason of the importer, and leaves no broken source behind', async () => {
  const cluster = new ClusterClient(config);
  const run = async (origin: DiskOrigin, layerBuild: string) => {
    const staged = stagePhase({ clusterConfig: config, spec: labSpec(origin), vm: 'db', phase: 'import', layerBuild });
    const failure = await importExecutor.execute(staged).catch((error) => error.failure);
    const identity = { layerBuild, generation: 1 };
    await teardownBuild(cluster, {
      farm: 'test',
      network: 'kube-ovn',
      identity,
      signal: staged.signal,
      deadlineMs: 60_000,
    });
    return failure;
  };
  const mismatch = await run(urlOrigin('00'.repeat(32)), '01J00000000000000000000001');
  expect(mismatch).toMatchObject({ reason: 'ChecksumMismatch', message: expect.stringContaining('disk "root"') });
  const missing = await run(urlOrigin('11'.repeat(32), 'http://127.0.0.1:1/none'), '01J00000000000000000000002');
  expect(missing).toMatchObject({ reason: 'SourceUnreachable' });
  const { items } = await cluster.list(RESOURCES.dataVolumes, { labels: { 'slipway.dev/role': 'source' } });
  expect(items.every(({ status }) => status?.phase === 'Succeeded')).toBe(true);
}, 120_000);

test('refuses an image that is larger than its disk before anything is imported', async () => {
  const spec = labSpec({ ...urlOrigin('22'.repeat(32)) });
  const [first, second] = spec.vms;
  if (!first || !second) throw new Error('unreachable');
  const small = { ...second, disks: [{ ...diskOf(second), sizeBytes: MIB }] };
  const staged = stagePhase({
    ...{ clusterConfig: config, spec: { ...spec, vms: [first, small] }, vm: 'db', phase: 'import' },
    layerBuild: '01J00000000000000000000003',
  });
  await expect(importExecutor.execute(staged)).rejects.toMatchObject({ failure: { reason: 'ImageTooLarge' } });
  expect(image.downloads()).toBeLessThanOrEqual(2);
}, 60_000);

test('imports an unpinned source only while it is what was planned', async () => {
  const content = await readFile(imagePath);
  let etag = '"planned"';
  const mirror = createServer((request, response) => {
    response.writeHead(200, { etag, 'content-length': content.length });
    response.end(request.method === 'HEAD' ? undefined : content);
  }).listen(0, '127.0.0.1');
  resources.defer('mirror', () => {
    mirror.close();
    mirror.closeAllConnections();
  });
  await once(mirror, 'listening');
  const url = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}/daily.qcow2`;
  const identity = validatorIdentity(url, { etag, lastModified: null, lengthBytes: content.length }) ?? '';
  const spec = labSpec({ kind: 'url', url, checksum: null, identity });
  const said: string[] = [];
  const run = async (layerBuild: string) => {
    const staged = stagePhase({ clusterConfig: config, spec, vm: 'db', phase: 'import', layerBuild });
    const result = await importExecutor.execute(staged);
    said.push(...staged.events.flatMap((event) => (event.event === 'log' ? event.line : [])));
    return result;
  };
  etag = '"published since"';
  await expect(run('01J00000000000000000000005')).rejects.toMatchObject({
    failure: { reason: 'SourceChanged', message: expect.stringContaining('disk "root"') },
  });
  etag = '"planned"';
  expect(await run('01J00000000000000000000006')).toEqual({ outcome: 'succeeded' });
  expect(said).toContainEqual(expect.stringMatching(/^disk "root" from .*daily\.qcow2.* has no checksum/));
  // The planned content was imported then, even if the server has other content now.
  etag = '"published since"';
  expect(await run('01J00000000000000000000007')).toEqual({ outcome: 'succeeded' });
}, 120_000);

test('imports a source again that the farm is just removing, and keeps it for the `isoCacheTTL` of its module', async () => {
  const cluster = new ClusterClient(config);
  const origin = urlOrigin(image.sha256);
  await importExecutor.execute(importDb(origin, '01J00000000000000000000070'));
  const sources = async () => {
    const { items } = await cluster.list(RESOURCES.dataVolumes, { labels: { [LABELS.role]: 'source' } });
    return items.filter(({ spec }) => spec.source?.http?.url === image.url).map(({ metadata }) => metadata);
  };
  const [former] = await sources();
  const name = former?.name ?? '';
  const downloads = image.downloads();
  // As the scheduler does when its time is over; the cluster takes its time.
  const held = (finalizers: string[] | null) =>
    cluster.mergePatch(RESOURCES.dataVolumes, name, { metadata: { finalizers } });
  await held(['test/held']);
  for (const kind of [RESOURCES.snapshots, RESOURCES.dataVolumes]) await cluster.delete(kind, name);
  const uses: number[] = [];
  const staged = importDb(origin, '01J00000000000000000000071');
  let isRemoved = false;
  const store: PhaseStore = {
    ...staged.store,
    useSource: async (_claim, use, removal) => {
      uses.push(use.keepMs);
      isRemoved ||= removal === 'a removal';
      return isRemoved ? null : 'a removal';
    },
  };
  const importing = importExecutor.execute({ ...staged, store });
  await expect.poll(() => uses.length, { timeout: 20_000 }).toBe(2);
  expect(isRemoved).toBe(false);
  await held(null);
  expect(await importing).toEqual({ outcome: 'succeeded' });
  expect(image.downloads()).toBe(downloads + 1);
  expect((await sources()).map((metadata) => metadata?.name)).toEqual([name]);
  expect((await sources())[0]?.uid).not.toBe(former?.uid);
  expect(uses.at(-1)).toBe(staged.claim.spec.module.isoCacheTtlMs);
}, 120_000);

test('authenticates with the credentials of the module, by a Secret that is removed with the volume', async () => {
  const content = await readFile(imagePath);
  const login = `Basic ${Buffer.from('ci:hunter2').toString('base64')}`;
  const guarded = createServer((request, response) => {
    if (request.headers.authorization !== login) return void response.writeHead(401).end();
    response.writeHead(200, { 'content-length': content.length });
    response.end(request.method === 'HEAD' ? undefined : content);
  }).listen(0, '127.0.0.1');
  resources.defer('guarded mirror', () => {
    guarded.close();
    guarded.closeAllConnections();
  });
  await once(guarded, 'listening');
  const url = `http://127.0.0.1:${(guarded.address() as AddressInfo).port}/private.qcow2`;
  const cluster = new ClusterClient(config);
  const spec = (password: string, identity: string | null) => {
    const { module, ...planned } = labSpec({ kind: 'url', url, checksum: null, identity });
    const credentials = { username: 'ci', password: TEST_FARM_KEY.seal(password) };
    const vms = module.vms.map((vm) => ({ ...vm, source: { kind: 'url', url, credentials, checksum: null } as const }));
    return { ...planned, module: { ...module, vms } };
  };
  const run = (given: LayerSpec, layerBuild: string) =>
    importExecutor.execute(stagePhase({ clusterConfig: config, spec: given, vm: 'db', phase: 'import', layerBuild }));
  const wrong = run(spec('wrong', `sha256:${'ee'.repeat(32)}`), '01J00000000000000000000030');
  await expect(wrong).rejects.toMatchObject({ failure: { message: expect.stringContaining('401') } });
  const shared = spec('hunter2', `sha256:${'ee'.repeat(32)}`);
  expect(await run(shared, '01J00000000000000000000031')).toEqual({ outcome: 'succeeded' });
  expect(await run(spec('hunter2', null), '01J00000000000000000000032')).toEqual({ outcome: 'succeeded' });
  const { items: volumes } = await cluster.list(RESOURCES.dataVolumes);
  expect(JSON.stringify(volumes)).not.toContain('hunter2');
  const [volume] = volumes.filter((object) => object.spec.source?.http?.url === url);
  const name = volume?.spec.source?.http?.secretRef ?? '';
  expect((await cluster.get(RESOURCES.secrets, name))?.metadata?.ownerReferences).toMatchObject([
    { kind: 'DataVolume', uid: volume?.metadata?.uid },
  ]);
  await cluster.delete(RESOURCES.dataVolumes, volume?.metadata?.name ?? '');
  const { signal } = new AbortController();
  const removal = { signal, deadlineMs: 30_000, what: 'the Secret to go' };
  await waitUntilGone(cluster, { resource: RESOURCES.secrets, name }, removal);
}, 120_000);

test('reports content that is not an image, before anything is imported', async () => {
  let content: Buffer = Buffer.alloc(0);
  let status = 200;
  const mirror = createServer((_, response) => {
    response.writeHead(status, { 'content-length': content.length });
    response.end(content);
  }).listen(0, '127.0.0.1');
  resources.defer('mirror of nothing', () => {
    mirror.close();
    mirror.closeAllConnections();
  });
  await once(mirror, 'listening');
  const url = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}/x.qcow2`;
  const failure = (query: string, identity: string | null = null) =>
    importExecutor
      .execute(
        importDb({ kind: 'url', url: `${url}?${query}`, checksum: null, identity }, '01J00000000000000000000040'),
      )
      .catch((error) => error.failure);
  content = Buffer.from('<html><title>Sign in</title></html>');
  const found = 'it is an HTML page, not a disk image';
  const page = {
    reason: 'ImportFailed',
    message: expect.stringContaining(`"root" from ${url} (HTTP 200, 35 bytes): ${found}`),
  };
  expect(await failure('token=secret')).toMatchObject(page);
  expect(await failure('token=secret', `sha256:${'dd'.repeat(32)}`)).toMatchObject(page);
  content = (await readFile(imagePath)).subarray(0, 100_000);
  expect(await failure('half')).toMatchObject({
    message: expect.stringContaining('100000 bytes): it is a qcow2 image that was cut'),
  });
  content = Buffer.alloc(40 * 2048);
  content.write('CD001', 0x8001);
  expect(await failure('iso')).toMatchObject({
    reason: 'ImportFailed',
    message: expect.stringContaining('list it under isos'),
  });
  status = 401;
  expect(await failure('login')).toMatchObject({
    reason: 'ImportFailed',
    message: expect.stringContaining('(HTTP 401): the server answered 401; it requires a user and a password'),
  });
  const { items } = await new ClusterClient(config).list(RESOURCES.dataVolumes);
  expect(items.filter((volume) => volume.spec.source?.http?.url.startsWith(url))).toEqual([]);
}, 60_000);

/** The two VMs of the lab; what is tested is the disk of `db`. */
function importDb(origin: DiskOrigin, layerBuild: string, sizeBytes = 128 * MIB) {
  const spec = labSpec(origin);
  const [web, db] = spec.vms;
  if (!web || !db) throw new Error('unreachable');
  const vms = [web, { ...db, disks: [{ ...diskOf(db), sizeBytes }] }];
  return stagePhase({ clusterConfig: config, spec: { ...spec, vms }, vm: 'db', phase: 'import', layerBuild });
}

async function sourceOfDisk(layerBuild: string) {
  const { items } = await new ClusterClient(config).list(RESOURCES.dataVolumes, {
    labels: { 'slipway.dev/layer-build': layerBuild },
  });
  return items.map(({ spec }) => spec.source);
}

test('imports a container image by the digest that was planned, once; one without a digest for its build alone', async () => {
  const registry = await startImageRegistry({ tokens: true });
  resources.defer('registry', () => registry.stop());
  const push = async (marker: string) => {
    const files = { 'disk/image.qcow2': await readFile(imagePath), [`etc/${marker}`]: Buffer.from(marker) };
    return registry.push('disks/blank:1', { layers: [{ files, packing: 'zstd' }], indexed: true });
  };
  const digest = await push('planned');
  await push('published since');
  const image = `${registry.host}/disks/blank:1`;
  const pinned = { kind: 'image', image, identity: `image:${digest}` } as const;
  const blobs = () => registry.requests.filter((request) => request.includes('/blobs/')).length;
  const [first, second, alone] = [
    '01J00000000000000000000020',
    '01J00000000000000000000021',
    '01J00000000000000000000022',
  ];
  expect(await importExecutor.execute(importDb(pinned, first))).toEqual({ outcome: 'succeeded' });
  expect(await importExecutor.execute(importDb(pinned, second))).toEqual({ outcome: 'succeeded' });
  expect(blobs()).toBe(1);
  const { items } = await new ClusterClient(config).list(RESOURCES.dataVolumes, {
    labels: { 'slipway.dev/role': 'source' },
  });
  expect(items.flatMap(({ spec }) => spec.source?.registry?.url ?? [])).toEqual([
    `docker://${registry.host}/disks/blank@${digest}`,
  ]);

  expect(await importExecutor.execute(importDb({ ...pinned, identity: null }, alone))).toEqual({
    outcome: 'succeeded',
  });
  expect(await sourceOfDisk(alone)).toEqual([{ registry: { url: `docker://${image}`, pullMethod: 'pod' } }]);
  expect(blobs()).toBe(2);

  const gone = { ...pinned, image: `${registry.host}/disks/none:1`, identity: null };
  await expect(importExecutor.execute(importDb(gone, '01J00000000000000000000023'))).rejects.toMatchObject({
    failure: { reason: 'SourceUnreachable', message: expect.stringContaining('manifest unknown') },
  });
}, 120_000);

test('clones an existing claim, and reports the error of another one', async () => {
  const cluster = new ClusterClient(config);
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: String(64 * MIB) } } };
  await cluster.create(RESOURCES.claims, { metadata: { name: 'golden' }, spec });
  const origin = { kind: 'claim', name: 'golden', namespace: null } as const;
  const layerBuild = '01J00000000000000000000024';
  expect(await importExecutor.execute(importDb(origin, layerBuild))).toEqual({ outcome: 'succeeded' });
  expect(await sourceOfDisk(layerBuild)).toEqual([{ pvc: { name: 'golden', namespace: 'default' } }]);
  // What was begun continues without it.
  await cluster.delete(RESOURCES.claims, 'golden');
  expect(await importExecutor.execute(importDb(origin, layerBuild))).toEqual({ outcome: 'succeeded' });

  await cluster.create(RESOURCES.claims, { metadata: { name: 'large' }, spec });
  const small = importDb({ ...origin, name: 'large' }, '01J00000000000000000000025', MIB);
  await expect(importExecutor.execute(small)).rejects.toMatchObject({ failure: { reason: 'ImageTooLarge' } });
  // As CDI labels the claim of a volume of the farm, or of another one on this cluster.
  const labels = { [LABELS.farm]: 'another', [LABELS.role]: 'source' };
  await cluster.create(RESOURCES.claims, { metadata: { name: 'shared', labels }, spec });
  const shared = importDb({ ...origin, name: 'shared' }, '01J00000000000000000000027');
  await expect(importExecutor.execute(shared)).rejects.toMatchObject({
    failure: { reason: 'SourceUnreachable', message: expect.stringContaining('is a disk of a build farm') },
  });
  const missing = importDb({ ...origin, name: 'missing' }, '01J00000000000000000000026');
  await expect(importExecutor.execute(missing)).rejects.toMatchObject({
    failure: {
      reason: 'SourceUnreachable',
      message: 'PersistentVolumeClaim "missing" in the namespace "default" not found',
    },
  });
}, 120_000);

/** A disk that grows only on request: CDI inflates what is asked for, so a clone must not ask for what there is. */
test('keeps the claims of five generations as large as the first, and grows one that is asked to', async () => {
  const cluster = new ClusterClient(config);
  const claimBytes = async (name: string) =>
    Number((await cluster.get(RESOURCES.claims, name))?.spec?.resources?.requests?.['storage']);
  const parents: Record<string, LayerRecord> = {};
  let origin: DiskOrigin = { kind: 'blank' };
  const build = async (generation: number, sizeBytes: number | null) => {
    const layerBuild = `01J0000000000000000000005${generation}`;
    const spec = labSpec(origin);
    const [web, db] = spec.vms;
    if (!web || !db) throw new Error('unreachable');
    const vms = [web, { ...db, disks: [{ ...diskOf(db), sizeBytes }] }];
    const staged = stagePhase({
      ...{ clusterConfig: config, spec: { ...spec, vms }, vm: 'db', phase: 'import', layerBuild, parents },
    });
    await importExecutor.execute(staged);
    const scope = buildScope(staged);
    const captured = await captureDisks(staged, scope);
    const layerKey = `generation-${generation}`;
    parents[layerKey] = layerRecord({ layerKey, cluster: config.name, namespace: 'default', vms: [captured] });
    origin = { kind: 'layer', layerKey, vm: 'db', disk: 'root' };
    const identity = { layerBuild, generation: 1 };
    const volume = scope.names.disk('db', 'root');
    const found = { claim: await claimBytes(volume), recorded: captured.disks[0]?.sizeBytes };
    await teardownBuild(cluster, {
      farm: 'test',
      network: 'kube-ovn',
      identity,
      signal: staged.signal,
      deadlineMs: 60_000,
    });
    return found;
  };
  const first = { claim: 106 * MIB, recorded: 100 * MIB };
  expect(await build(0, 100 * MIB)).toEqual(first);
  for (const generation of [1, 2, 3]) expect(await build(generation, null)).toEqual(first);
  expect(await build(4, 100 * MIB)).toEqual(first);
  expect(await build(5, 300 * MIB)).toEqual({ claim: 318 * MIB, recorded: 300 * MIB });
}, 120_000);

test('leaves it to a machine where its disks lie, where the class waits for that', async () => {
  const cluster = new ClusterClient(config);
  const [known] = (await cluster.list(RESOURCES.storageClasses)).items;
  const late = { ...known, metadata: { name: 'late' }, volumeBindingMode: 'WaitForFirstConsumer' };
  await cluster.create(RESOURCES.storageClasses, late);
  const layerBuild = '01J00000000000000000000061';
  const staged = importDb(urlOrigin(image.sha256), layerBuild);
  const clusterConfig = { ...config, storageClass: 'late' };
  expect(await importExecutor.execute({ ...staged, clusterConfig })).toEqual({ outcome: 'succeeded' });
  const disk = () => cluster.get(RESOURCES.dataVolumes, buildScope(staged).names.disk('db', 'root'));
  expect((await disk())?.status?.phase).toBe('PendingPopulation');
  const identity = { layerBuild, generation: 1 };
  await teardownBuild(cluster, {
    farm: 'test',
    network: 'kube-ovn',
    identity,
    signal: staged.signal,
    deadlineMs: 60_000,
  });
}, 60_000);

test('reports at once that a storage class does not exist', async () => {
  const staged = importDb({ kind: 'blank' }, '01J00000000000000000000060');
  const [web, db] = staged.claim.spec.vms;
  if (!web || !db) throw new Error('unreachable');
  const vms = [web, { ...db, disks: [{ ...diskOf(db), storageClass: 'fsat' }] }];
  const mistyped = { ...staged, claim: { ...staged.claim, spec: { ...staged.claim.spec, vms } } };
  await expect(importExecutor.execute(mistyped)).rejects.toMatchObject({
    failure: { reason: 'ClusterRefused', message: expect.stringMatching(/ErrClaimNotValid: .*storage class "fsat"/) },
  });
}, 60_000);

const UNTOLD = compiledModule({ name: 'lab', vms: [{ name: 'db', cloudInit: NOTHING_TOLD }] });

test('does not wait for relays that no guest uses before the farm does', async () => {
  const layerBuild = '01J00000000000000000000030';
  const [, db] = labSpec({ kind: 'blank' }).vms;
  if (!db) throw new Error('unreachable');
  const spec = { ...labSpec({ kind: 'blank' }), module: UNTOLD, vms: [db] };
  // No registry serves this image: the pod never runs.
  const absent = { ...config, relayImage: 'an-image-that-is-nowhere' };
  const staged = stagePhase({ clusterConfig: absent, spec, vm: 'db', phase: 'import', layerBuild });
  expect(await importExecutor.execute(staged)).toEqual({ outcome: 'succeeded' });
  const cluster = new ClusterClient(config);
  const relay = await cluster.get(RESOURCES.pods, buildScope(staged).names.relay('lab'));
  expect(relay?.spec).toMatchObject({ containers: [{ image: 'an-image-that-is-nowhere' }] });
  const identity = { layerBuild, generation: 1 };
  await teardownBuild(cluster, {
    farm: 'test',
    network: 'kube-ovn',
    identity,
    signal: staged.signal,
    deadlineMs: 60_000,
  });
}, 60_000);

test.each([
  ['a guest that only lets the farm in', { cloudInit: NOTHING_TOLD }, false],
  ['a guest with user data', { cloudInit: { ...NOTHING_TOLD, userData: '#cloud-config\n' } }, true],
  ['a guest with user data of a Secret', { cloudInit: { ...NOTHING_TOLD, userDataFrom: NOT_THERE } }, true],
  ['a guest that is typed to', { bootCommand: ['<enter>'] }, true],
  ['a guest with an answer file', { floppy: ['ks.cfg'] }, true],
] as const)('knows whether %s uses the network at boot', (_what, vm, isUsed) => {
  const module = compiledModule({ name: 'lab', vms: [{ name: 'db', ...vm }] });
  expect(areUsedAtBoot({ ...labSpec({ kind: 'blank' }), module })).toBe(isUsed);
});

test('gives a VPC its egress, and reports the missing configuration', async () => {
  const layerBuild = '01J00000000000000000000004';
  const closed = labSpec(urlOrigin(image.sha256));
  const subnets = closed.network.subnets.map((subnet) => ({ ...subnet, egress: '10.77.0.253' }));
  const first = vmPlan('db', '10.77.0.2', { kind: 'blank' });
  const spec = { ...closed, vms: [first], network: { vpcs: [{ name: 'lab', internet: true }], subnets } };
  const staged = stagePhase({ clusterConfig: config, spec, vm: 'db', phase: 'import', layerBuild });
  const { signal } = staged;
  const cluster = new ClusterClient(config);
  const scope = buildScope(staged);
  await ensureNetwork(staged.cluster, { scope, clusterConfig: config, signal });
  const refused = requestServices(staged, scope);
  await expect(refused).rejects.toMatchObject({
    failure: { reason: 'ClusterRefused', message: expect.stringContaining('externalSubnet') },
  });
  const open = { ...config, externalSubnet: 'outside' };
  await ensureServices({ ...staged, clusterConfig: open }, scope);
  const gateway = await cluster.get(RESOURCES.egressGateways, scope.names.gateway('lab'));
  expect(gateway?.spec).toMatchObject({ replicas: 1, externalSubnet: 'outside' });
  // A gateway without a planned address takes the lowest free one, which is the first VM's.
  const { items } = await cluster.list(RESOURCES.ips, {});
  const taken = items.filter((item) => item.spec?.subnet === scope.names.subnet('net'));
  expect(taken.map((item) => item.spec?.ipAddress).toSorted()).toEqual(['10.77.0.253', '10.77.0.254']);
  expect(gateway?.status?.internalIPs).toEqual(['10.77.0.253']);
  const identity = { layerBuild, generation: 1 };
  await teardownBuild(cluster, { farm: 'test', network: 'kube-ovn', identity, signal, deadlineMs: 60_000 });
  expect(await cluster.get(RESOURCES.vpcs, scope.names.vpc('lab'))).toBeUndefined();
}, 60_000);
