import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Laboratory } from '../conformance/machines/laboratory.ts';
import { dataVolume } from '../conformance/machines/manifests.ts';
import { type ImageRegistry, startImageRegistry } from '../harness/image-registry.ts';

/*
 * The attacker has made an image. The prize is a file of the host inside a disk, or the end of the cluster.
 */
const SECTOR = 512;
/** Stands for /etc/shadow: on the host, and read by `qemu-img` when an image makes it. */
const HOST_FILE = 'the passwords of the host\n'.padEnd(8 * SECTOR, 'x');

let folder: string;
let prize: string;
let server: Server;
let url: string;
let registry: ImageRegistry;
let laboratory: Laboratory;
const served = new Map<string, Buffer>();
let count = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-images-'));
  prize = join(folder, 'shadow');
  writeFileSync(prize, HOST_FILE, { mode: 0o600 });
  server = createServer((request, response) => {
    const content = served.get(request.url ?? '') ?? Buffer.alloc(0);
    response.setHeader('content-length', content.length).end(content);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  registry = await startImageRegistry();
  laboratory = await Laboratory.open();
}, 60_000);

afterAll(async () => {
  await laboratory?.close();
  await registry?.stop();
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

function made(format: string): Buffer {
  const path = join(folder, `seed.${format}`);
  execFileSync('qemu-img', ['create', '-q', '-f', format, path, '8M']);
  return readFileSync(path);
}

/** A qcow2 of 66 KB and more with some of its header changed (QEMU's docs/interop/qcow2.rst). */
function qcow2(change: (header: Buffer) => void): Buffer {
  const image = made('qcow2');
  change(image);
  return image;
}

function vmdk(extents: string, capacity = 16_384n): Buffer {
  const image = made('vmdk');
  const head = '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n';
  image.fill(0, SECTOR, SECTOR + 20 * SECTOR);
  image.write(`${head}${extents}\n`, SECTOR);
  image.writeBigUInt64LE(capacity, 12);
  return image;
}

function backed(by: string, length = by.length): Buffer {
  return qcow2((header) => {
    const at = 1024;
    header.write(by, at);
    header.writeBigUInt64BE(BigInt(at), 8);
    header.writeUInt32BE(length, 16);
  });
}

const shadow = () => `RW 8 FLAT "${prize}" 0`;

/** What the attacker reads of an import of this source. */
async function attempt(source: object): Promise<string> {
  const name = `attempt-${++count}`;
  await laboratory.create('DataVolume', dataVolume(name, source, '16Mi'));
  const failed = await laboratory.untilImportFails(name);
  await laboratory.delete('DataVolume', name);
  await laboratory.untilGone('PersistentVolumeClaim', name);
  // The client that reads this answer is still connected.
  expect((await laboratory.client.send('GET', '/version')).code).toBe(200);
  return failed.status?.conditions?.find(({ type }) => type === 'Running')?.message ?? '';
}

test.for<[string, () => Buffer, RegExp]>([
  ['a VMDK without capacity whose extent is a file of the host', () => vmdk(shadow(), 0n), /a capacity of 0/],
  ['a VMDK whose extent is a file of the host', () => vmdk(shadow()), /of the kind "monolithicFlat"/],
  ['the same, packed', () => gzipSync(vmdk(shadow(), 0n)), /a capacity of 0/],
  [
    'a descriptor that names a file of the host',
    () => Buffer.from(`# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\n${shadow()}\n`.padEnd(2048)),
    /names other files/,
  ],
  ['a qcow2 with a file of the host below it', () => backed(prize), /needs its backing file/],
  ['a qcow2 with a JSON description below it', () => backed(`json:{"file.filename":"${prize}"}`), /backing file/],
  [
    'a qcow2 with a file of the host as its data',
    () =>
      qcow2((header) => {
        header.writeBigUInt64BE(4n, 72);
        // The header extension that names the file.
        header.writeUInt32BE(0x44415441, 104);
        header.writeUInt32BE(prize.length, 108);
        header.write(prize, 112);
      }),
    /data lie in another file/,
  ],
  ['a qcow2 of 200 KB whose name of 4 GiB is to be read', () => backed('x', 2 ** 32 - 1), /header is broken|backing/],
  ['a qcow2 with a header of 4 GiB', () => qcow2((header) => header.writeUInt32BE(2 ** 32 - 1, 100)), /header/],
  ['a qcow2 with a table of 32 GiB', () => qcow2((header) => header.writeUInt32BE(2 ** 32 - 1, 36)), /does not fit/],
  ['a qcow2 of clusters of 2^63 bytes', () => qcow2((header) => header.writeUInt32BE(63, 20)), /cluster/],
  ['a qcow2 of 2^63 bytes', () => qcow2((header) => header.writeBigUInt64BE(2n ** 63n, 24)), /of \d+ bytes|header/],
])('%s is refused, and the cluster continues', async ([_what, image, why], { annotate }) => {
  const path = `/image-${count}`;
  served.set(path, image());
  const message = await attempt({ http: { url: `${url}${path}` } });
  expect(message).toMatch(why);
  await annotate(message);
});

test('a container image with such a disk in it is refused, too', async () => {
  await registry.push('evil/image:1', { layers: [{ files: { 'disk/a.vmdk': vmdk(shadow(), 0n) } }] });
  expect(await attempt({ registry: { url: `docker://${registry.host}/evil/image:1` } })).toContain('a capacity of 0');
});

test('QEMU itself would have handed the file out: what stopped it is the farm', () => {
  const [evil, leaked] = [join(folder, 'evil.vmdk'), join(folder, 'leaked')];
  writeFileSync(evil, vmdk(shadow(), 0n));
  execFileSync('qemu-img', ['convert', '-f', 'vmdk', '-O', 'raw', evil, leaked]);
  expect(readFileSync(leaked, 'latin1')).toContain('the passwords of the host');
  // After all attempts the cluster has no volume with a byte of it, and no rest of an import.
  const left = ['volumes', 'run/imports'].flatMap((name) => readdirSync(join(laboratory.cluster.dataDir ?? '', name)));
  expect(left).toEqual([]);
});
