import { spawn } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { zeros } from '../../common/nbd/run.ts';
import { readSparse, SPARSE_TYPE } from '../../common/nbd/sparse-stream.ts';
import { restoreLayer } from '../../common/redis/layers.ts';
import { parseContainerReference } from '../../common/registry/image-reference.ts';
import { RegistryClient } from '../../common/registry/registry-client.ts';
import { REGISTRY_USER, startDockerRegistry } from '../harness/docker-registry.ts';
import { layerRecord, layerVm } from '../harness/layer-factory.ts';
import { type LiveApi, startApi, TOKEN } from './live-api.ts';

/** With a hole, as disks have them. */
const CONTENT = Buffer.concat([randomBytes(3 << 20), Buffer.alloc(5 << 20), randomBytes(1 << 20)]);
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const SHA256 = hash('sha256', CONTENT);

let api: LiveApi;

beforeAll(async () => {
  api = await startApi({}, undefined, { allowedAddresses: ['127.0.0.1'] });
});

beforeEach(async () => {
  await api.reset();
  await rm(join(api.directory, 'exports'), { recursive: true, force: true });
  await restoreLayer(
    api.redis,
    layerRecord({ layerKey: 'k', vms: [{ ...layerVm('vm', 'snap'), architecture: 'arm64' }, layerVm('db', 'other')] }),
  );
});

afterAll(() => api.close());

/** An export as it is when the farm has made it. */
async function makeReady(vm: string): Promise<string> {
  const { id } = await api.client.images.startExport('base', { vm });
  await expect.poll(async () => (await api.client.images.readExport(id)).state).toBe('failed');
  const folder = join(api.directory, 'exports', id);
  await writeFile(join(folder, SHA256), CONTENT);
  await writeFile(join(folder, 'done.json'), JSON.stringify({ sizeBytes: CONTENT.length, sha256: SHA256 }));
  return id;
}

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-export-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function slipway(...args: readonly string[]) {
  return slipwayIn({}, ...args);
}

async function slipwayIn(environment: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const [node, main] = programCommand('cli/main');
  const child = spawn(node, [main, ...args, '--url', api.url], {
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', SLIPWAY_TOKEN: TOKEN, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  const [stdout, stderr] = await Promise.all([buffer(child.stdout), text(child.stderr)]);
  await ended;
  return { stdout, stderr, exitCode: child.exitCode };
}

test('reports why a disk cannot be exported, and retries on the next request', async () => {
  await expect(api.client.images.startExport('base', {})).rejects.toThrow(
    'base:1 has several disks */*: name one of them. Its disks (VM/DISK) are vm/disk, db/disk.',
  );
  await expect(api.client.images.startExport('base', { vm: 'web' })).rejects.toThrow(
    'base:1 has no disk web/*. Its disks (VM/DISK) are vm/disk, db/disk.',
  );
  const { id, fileName } = await api.client.images.startExport('base', { vm: 'db', format: 'vmdk' });
  expect(fileName).toBe('base-1-db-disk.vmdk');
  await expect.poll(async () => (await api.client.images.readExport(id)).state).toBe('failed');
  expect((await api.client.images.readExport(id)).error?.message).toBe('The cluster "lab" is no longer configured.');
  expect((await api.client.images.startExport('base', { vm: 'db', format: 'vmdk' })).state).not.toBe('failed');
  await expect(api.client.images.readExport('0'.repeat(32))).rejects.toThrow(/^Export 0{32} not found/);
  const viewer = api.as(await api.tokenOf('viewer'));
  await expect(viewer.images.startExport('base', { vm: 'db' })).rejects.toThrow('needs the role builder');
});

test('a file comes in ranges, and is gone on with where it was cut', async () => {
  const id = await makeReady('vm');
  const answer = await api.call(`/api/v1/exports/${id}/content`, { headers: { range: 'bytes=100-199' } });
  expect(answer.status).toBe(206);
  expect(answer.headers.get('etag')).toBe(`"${SHA256}"`);
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(CONTENT.subarray(100, 200));

  const folder = await emptyFolder();
  const file = join(folder, 'disk.qcow2');
  // What an interrupted command has left.
  await writeFile(`${file}.${SHA256.slice(0, 12)}.part`, CONTENT.subarray(0, 1 << 20));
  const fetched = await slipway('image', 'export', 'base', '--vm', 'vm', '-o', file);
  expect(fetched).toMatchObject({ exitCode: 0, stderr: '' });
  expect(String(fetched.stdout)).toBe(`${file}: 9 MiB, SHA-256 ${SHA256}, verified.\n`);
  expect((await readFile(file)).equals(CONTENT)).toBe(true);
  expect((await stat(file)).blocks * 512).toBeLessThan(6 << 20);
  expect(await readdir(folder)).toEqual(['disk.qcow2']);

  const piped = await slipway('image', 'export', 'base', '--vm', 'vm', '-o', '-');
  expect(piped.stdout.equals(CONTENT)).toBe(true);
  expect(piped.stderr).toContain(`SHA-256 ${SHA256}, verified.`);
});

test.each([0, (1 << 20) + 13, 4 << 20, CONTENT.length])(
  'a file comes without its zeros from byte %i on',
  async (start) => {
    const id = await makeReady('vm');
    const headers = { accept: SPARSE_TYPE, ...(start > 0 ? { range: `bytes=${start}-` } : {}) };
    const answer = await api.call(`/api/v1/exports/${id}/content`, { headers });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([start > 0 ? 206 : 200, SPARSE_TYPE]);
    const sent = Buffer.from(await answer.arrayBuffer());
    expect(sent.length).toBeLessThan((4 << 20) + 1000);
    const { sizeBytes, runs } = await readSparse(Readable.from([sent]), start);
    const pieces: Buffer[] = [];
    for await (const { length, bytes } of runs) pieces.push(...(bytes ? [bytes] : zeros(length)));
    expect([sizeBytes, Buffer.concat(pieces).equals(CONTENT.subarray(start))]).toEqual([CONTENT.length, true]);
  },
);

test('what was not received as it was sent is refused and removed', async () => {
  const id = await makeReady('vm');
  const folder = await emptyFolder();
  await writeFile(join(folder, `disk.qcow2.${SHA256.slice(0, 12)}.part`), 'something else');
  const fetched = await slipway('image', 'export', 'base:1', '--vm', 'vm', '-o', join(folder, 'disk.qcow2'));
  expect(fetched).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`has the SHA-256`) });
  expect(await readdir(folder)).toEqual([]);
  expect(id).toHaveLength(32);
});

test('several disks go to a folder with a manifest, and one does not go to standard output with others', async () => {
  await makeReady('vm');
  await makeReady('db');
  const folder = join(await emptyFolder(), 'out');
  expect(await slipway('image', 'export', 'base', '-o', folder)).toMatchObject({ exitCode: 0 });
  expect((await readdir(folder)).sort()).toEqual(['base-1-db-disk.qcow2', 'base-1-vm-disk.qcow2', 'manifest.json']);
  expect(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))).toEqual({
    ...{ module: 'base', version: 1, layerKey: 'k', format: 'qcow2' },
    disks: ['vm', 'db'].map((vm) => ({
      ...{ vm, disk: 'disk', position: 1, bus: 'virtio', firmware: 'bios', file: `base-1-${vm}-disk.qcow2` },
      ...{ sizeBytes: CONTENT.length, sha256: SHA256 },
    })),
  });
  const both = await slipway('image', 'export', 'base', '-o', '-');
  expect(both).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Standard output takes one disk') });
});

test('a disk is pushed to a registry with what docker login has kept, or with a secret of the farm', async () => {
  const registry = await startDockerRegistry({ isGuarded: true });
  onTestFinished(() => registry.stop());
  await makeReady('vm');
  const target = `${registry.host}/farm/base:1`;
  const { username, password } = REGISTRY_USER;
  const refused = await slipway('image', 'push', 'base', target, '--vm', 'vm');
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('`docker login`') });
  expect(refused.stderr).toContain(`The registry at ${registry.host} did not accept the image`);
  expect(refused.stderr).toContain('authentication required (status code 401)');

  const folder = await emptyFolder();
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }));
  const pushed = await slipwayIn({ DOCKER_CONFIG: folder }, 'image', 'push', 'base', target, '--vm', 'vm');
  expect(pushed).toMatchObject({ exitCode: 0, stderr: '' });
  const reference = parseContainerReference(target);
  if (!reference) throw new Error('unreachable');
  const digest = await new RegistryClient(reference, { credentials: REGISTRY_USER }).digest();
  const read = async (path: string, accept: string) =>
    (
      await fetch(`http://${registry.host}/v2/farm/base/${path}`, {
        headers: { accept, authorization: `Basic ${auth}` },
      })
    ).json();
  const manifest = (await read('manifests/1', OCI_MANIFEST)) as { config: { digest: string } };
  expect(await read(`blobs/${manifest.config.digest}`, '*/*')).toMatchObject({ os: 'linux', architecture: 'arm64' });
  expect(String(pushed.stdout)).toBe(
    `base:1 is ${target} now. Modules start from it by\n  source: { containerDisk: ${registry.host}/farm/base@${digest} }\n`,
  );

  await api.client.setSecret('registry', `${username}:${password}`);
  const bySecret = await slipway('image', 'push', 'base:1', target, '--vm', 'vm', '--secret', 'registry');
  expect(String(bySecret.stdout)).toBe(String(pushed.stdout));
  await api.client.setSecret('registry', 'no colon');
  const wrong = await slipway('image', 'push', 'base:1', target, '--vm', 'vm', '--secret', 'registry');
  expect(wrong.stderr).toContain('The secret "registry" does not hold USER:PASSWORD in one line.');
  expect(wrong.stderr).not.toContain('no colon');
});

test('a push is refused before it begins, and where the farm may not go', async () => {
  await makeReady('vm');
  const push = async (reference: string, order: object = { vm: 'vm' }) => {
    // Nothing is exported or packed for a registry that refuses.
    for await (const view of api.client.images.push('base', { reference, ...order })) return view.error;
    return null;
  };
  await expect(push('docker://x')).rejects.toThrow('"docker://x" is not a container image reference');
  await expect(push(`quay.io/x@sha256:${'ab'.repeat(32)}`)).rejects.toThrow('names a digest');
  await expect(push('quay.io/x', {})).rejects.toThrow('base:1 has several disks */*');
  await expect(push('quay.io/x', { vm: 'vm', secret: 'none' })).rejects.toThrow('The farm has no secret "none".');
  expect(await push('192.168.0.1/x')).toMatchObject({
    code: 'RegistryRefused',
    message: expect.stringContaining('192.168.0.1 is not a public address'),
  });
});
