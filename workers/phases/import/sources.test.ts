import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import type { DiskOrigin, LayerSpec } from '../../../common/contracts/layers.ts';
import { LABELS } from '../../../common/contracts/object-keys.ts';
import type { PhaseStore } from '../../../common/contracts/phase-store.ts';
import { validatorIdentity } from '../../../common/contracts/source-validator.ts';
import { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../../common/kubernetes/teardown.ts';
import { waitUntilGone } from '../../../common/kubernetes/wait-for.ts';
import { startImageRegistry } from '../../../test/harness/image-registry.ts';
import { diskOf, type ImportLab, MIB, useImportLab } from '../../../test/harness/import-lab.ts';
import { stagePhase, TEST_FARM_KEY } from '../../../test/harness/phase-context.ts';
import { importExecutor } from './import-executor.ts';

let lab: ImportLab;

useImportLab((opened) => {
  lab = opened;
});

test('fails with the reason of the importer, and leaves no broken source behind', async () => {
  const cluster = new ClusterClient(lab.config);
  const run = async (origin: DiskOrigin, layerBuild: string) => {
    const staged = stagePhase({
      clusterConfig: lab.config,
      spec: lab.spec(origin),
      vm: 'db',
      phase: 'import',
      layerBuild,
    });
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
  const mismatch = await run(lab.urlOrigin('00'.repeat(32)), '01J00000000000000000000001');
  expect(mismatch).toMatchObject({ reason: 'ChecksumMismatch', message: expect.stringContaining('disk "root"') });
  const missing = await run(lab.urlOrigin('11'.repeat(32), 'http://127.0.0.1:1/none'), '01J00000000000000000000002');
  expect(missing).toMatchObject({ reason: 'SourceUnreachable' });
  const { items } = await cluster.list(RESOURCES.dataVolumes, { labels: { 'slipway.dev/role': 'source' } });
  expect(items.every(({ status }) => status?.phase === 'Succeeded')).toBe(true);
}, 120_000);

test('refuses an image that is larger than its disk before anything is imported', async () => {
  const spec = lab.spec({ ...lab.urlOrigin('22'.repeat(32)) });
  const [first, second] = spec.vms;
  if (!first || !second) throw new Error('unreachable');
  const small = { ...second, disks: [{ ...diskOf(second), sizeBytes: MIB }] };
  const staged = stagePhase({
    ...{ clusterConfig: lab.config, spec: { ...spec, vms: [first, small] }, vm: 'db', phase: 'import' },
    layerBuild: '01J00000000000000000000003',
  });
  await expect(importExecutor.execute(staged)).rejects.toMatchObject({ failure: { reason: 'ImageTooLarge' } });
  expect(lab.image.downloads()).toBeLessThanOrEqual(2);
}, 60_000);

test('imports an unpinned source only while it is what was planned', async () => {
  const content = await readFile(lab.imagePath);
  let etag = '"planned"';
  const mirror = createServer((request, response) => {
    response.writeHead(200, { etag, 'content-length': content.length });
    response.end(request.method === 'HEAD' ? undefined : content);
  }).listen(0, '127.0.0.1');
  lab.resources.defer('mirror', () => {
    mirror.close();
    mirror.closeAllConnections();
  });
  await once(mirror, 'listening');
  const url = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}/daily.qcow2`;
  const identity = validatorIdentity(url, { etag, lastModified: null, lengthBytes: content.length }) ?? '';
  const spec = lab.spec({ kind: 'url', url, checksum: null, identity });
  const output: string[] = [];
  const run = async (layerBuild: string) => {
    const staged = stagePhase({ clusterConfig: lab.config, spec, vm: 'db', phase: 'import', layerBuild });
    const result = await importExecutor.execute(staged);
    output.push(...staged.events.flatMap((event) => (event.event === 'log' ? event.line : [])));
    return result;
  };
  etag = '"published since"';
  await expect(run('01J00000000000000000000005')).rejects.toMatchObject({
    failure: { reason: 'SourceChanged', message: expect.stringContaining('disk "root"') },
  });
  etag = '"planned"';
  expect(await run('01J00000000000000000000006')).toEqual({ outcome: 'succeeded' });
  expect(output).toContainEqual(expect.stringMatching(/^disk "root" from .*daily\.qcow2.* has no checksum/));
  // The planned content was imported then, even if the server has other content now.
  etag = '"published since"';
  expect(await run('01J00000000000000000000007')).toEqual({ outcome: 'succeeded' });
}, 120_000);

test('imports a source again that the farm is just removing, and keeps it for the `isoCacheTTL` of its module', async () => {
  const cluster = new ClusterClient(lab.config);
  const origin = lab.urlOrigin(lab.image.sha256);
  await importExecutor.execute(lab.importDb(origin, '01J00000000000000000000070'));
  const sources = async () => {
    const { items } = await cluster.list(RESOURCES.dataVolumes, { labels: { [LABELS.role]: 'source' } });
    return items.filter(({ spec }) => spec.source?.http?.url === lab.image.url).map(({ metadata }) => metadata);
  };
  const [former] = await sources();
  const name = former?.name ?? '';
  const downloads = lab.image.downloads();
  // As the scheduler does when its time is over; the cluster takes its time.
  const held = (finalizers: string[] | null) =>
    cluster.mergePatch(RESOURCES.dataVolumes, name, { metadata: { finalizers } });
  await held(['test/held']);
  for (const kind of [RESOURCES.snapshots, RESOURCES.dataVolumes]) await cluster.delete(kind, name);
  const uses: number[] = [];
  const staged = lab.importDb(origin, '01J00000000000000000000071');
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
  expect(lab.image.downloads()).toBe(downloads + 1);
  expect((await sources()).map((metadata) => metadata?.name)).toEqual([name]);
  expect((await sources())[0]?.uid).not.toBe(former?.uid);
  expect(uses.at(-1)).toBe(staged.claim.spec.module.isoCacheTtlMs);
}, 120_000);

test('authenticates with the credentials of the module, by a Secret that is removed with the volume', async () => {
  const content = await readFile(lab.imagePath);
  const login = `Basic ${Buffer.from('ci:hunter2').toString('base64')}`;
  const guarded = createServer((request, response) => {
    if (request.headers.authorization !== login) return void response.writeHead(401).end();
    response.writeHead(200, { 'content-length': content.length });
    response.end(request.method === 'HEAD' ? undefined : content);
  }).listen(0, '127.0.0.1');
  lab.resources.defer('guarded mirror', () => {
    guarded.close();
    guarded.closeAllConnections();
  });
  await once(guarded, 'listening');
  const url = `http://127.0.0.1:${(guarded.address() as AddressInfo).port}/private.qcow2`;
  const cluster = new ClusterClient(lab.config);
  const spec = (password: string, identity: string | null) => {
    const { module, ...planned } = lab.spec({ kind: 'url', url, checksum: null, identity });
    const credentials = { username: 'ci', password: TEST_FARM_KEY.seal(password) };
    const vms = module.vms.map((vm) => ({ ...vm, source: { kind: 'url', url, credentials, checksum: null } as const }));
    return { ...planned, module: { ...module, vms } };
  };
  const run = (given: LayerSpec, layerBuild: string) =>
    importExecutor.execute(
      stagePhase({ clusterConfig: lab.config, spec: given, vm: 'db', phase: 'import', layerBuild }),
    );
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
  lab.resources.defer('mirror of nothing', () => {
    mirror.close();
    mirror.closeAllConnections();
  });
  await once(mirror, 'listening');
  const url = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}/x.qcow2`;
  const failure = (query: string, identity: string | null = null) =>
    importExecutor
      .execute(
        lab.importDb({ kind: 'url', url: `${url}?${query}`, checksum: null, identity }, '01J00000000000000000000040'),
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
  content = (await readFile(lab.imagePath)).subarray(0, 100_000);
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
  const { items } = await new ClusterClient(lab.config).list(RESOURCES.dataVolumes);
  expect(items.filter((volume) => volume.spec.source?.http?.url.startsWith(url))).toEqual([]);
}, 60_000);

async function sourceOfDisk(layerBuild: string) {
  const { items } = await new ClusterClient(lab.config).list(RESOURCES.dataVolumes, {
    labels: { 'slipway.dev/layer-build': layerBuild },
  });
  return items.map(({ spec }) => spec.source);
}

test('imports a container image by the digest that was planned, once; one without a digest for its build alone', async () => {
  const registry = await startImageRegistry({ tokens: true });
  lab.resources.defer('registry', () => registry.stop());
  const push = async (marker: string) => {
    const files = { 'disk/image.qcow2': await readFile(lab.imagePath), [`etc/${marker}`]: Buffer.from(marker) };
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
  expect(await importExecutor.execute(lab.importDb(pinned, first))).toEqual({ outcome: 'succeeded' });
  expect(await importExecutor.execute(lab.importDb(pinned, second))).toEqual({ outcome: 'succeeded' });
  expect(blobs()).toBe(1);
  const { items } = await new ClusterClient(lab.config).list(RESOURCES.dataVolumes, {
    labels: { 'slipway.dev/role': 'source' },
  });
  expect(items.flatMap(({ spec }) => spec.source?.registry?.url ?? [])).toEqual([
    `docker://${registry.host}/disks/blank@${digest}`,
  ]);

  expect(await importExecutor.execute(lab.importDb({ ...pinned, identity: null }, alone))).toEqual({
    outcome: 'succeeded',
  });
  expect(await sourceOfDisk(alone)).toEqual([{ registry: { url: `docker://${image}`, pullMethod: 'pod' } }]);
  expect(blobs()).toBe(2);

  const gone = { ...pinned, image: `${registry.host}/disks/none:1`, identity: null };
  await expect(importExecutor.execute(lab.importDb(gone, '01J00000000000000000000023'))).rejects.toMatchObject({
    failure: { reason: 'SourceUnreachable', message: expect.stringContaining('manifest unknown') },
  });
}, 120_000);
