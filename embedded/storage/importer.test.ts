import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLogger } from '../../common/logging/logger.ts';
import { createEncrypted } from '../../test/harness/encrypted-image.ts';
import { Confiner } from '../host/confinement.ts';
import { importImage } from './importer.ts';

const MIB = 1024 ** 2;
const answers = new Map<string, RequestListener>();
let directory: string;
let server: Server;
let url: string;
let qcow2: Buffer;
let confiner: Confiner;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'importer-'));
  confiner = await Confiner.open(directory, createLogger({ name: 'importer', level: 'error' }));
  server = createServer((request, response) => {
    const answer = answers.get(request.url ?? '');
    if (answer) answer(request, response);
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  qcow2 = await made('image.qcow2', '-f', 'qcow2');
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true });
});

async function made(name: string, ...options: string[]): Promise<Buffer> {
  execFileSync('qemu-img', ['create', '-q', ...options, join(directory, name), '8M']);
  return await readFile(join(directory, name));
}

function pack(command: string) {
  return (image: Buffer) => execFileSync(command, ['-c'], { input: image });
}

/** Serves a content under a name, and imports it into a volume. */
async function importing(
  name: string,
  answer: Buffer | RequestListener,
  capacityBytes = 16 * MIB,
  signal = new AbortController().signal,
) {
  const listener: RequestListener = Buffer.isBuffer(answer)
    ? (_, response) => void response.setHeader('content-length', answer.length).end(answer)
    : answer;
  answers.set(`/${name}`, listener);
  const volume = join(directory, 'volumes', name);
  const result = await importImage({
    source: { kind: 'http', http: { url: `${url}/${name}`, headers: {}, mayBeUnverified: false } },
    ...{
      directory: join(directory, 'run'),
      disk: join(volume, 'disk.qcow2'),
      capacityBytes,
      allowedAddresses: ['127.0.0.1'],
    },
    confiner,
    onOpened: () => {},
    onProgress: () => {},
    signal,
  }).catch((error) => ({ reason: error.reason, message: error.message }));
  return { result, files: await readdir(volume).catch(() => []) };
}

test.each([
  ['as it is', (image: Buffer) => image],
  ['packed', (image: Buffer) => gzipSync(image)],
])('imports an image %s, grown to its volume', async (name, pack) => {
  expect(await importing(name.replaceAll(' ', '-'), pack(qcow2))).toEqual({ result: undefined, files: ['disk.qcow2'] });
  const disk = join(directory, 'volumes', name.replaceAll(' ', '-'), 'disk.qcow2');
  const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', disk]).toString());
  expect(info).toMatchObject({ format: 'qcow2', 'virtual-size': 16 * MIB });
});

const INFORMATION = 'Unable to process data: Unable to obtain information about data source: it is';

test.each<[string, () => Promise<Buffer>, string]>([
  ['a page', async () => Buffer.from(`<html><title>Log in</title>${' '.repeat(600)}`), `${INFORMATION} an HTML page`],
  ['nothing', async () => Buffer.alloc(0), `${INFORMATION} empty`],
  [
    'a ZIP',
    async () => Buffer.concat([Buffer.from('504b0304', 'hex'), Buffer.alloc(600)]),
    `${INFORMATION} a ZIP file`,
  ],
  [
    'a packed page',
    async () => gzipSync(Buffer.from('<html>')),
    `${INFORMATION} packed with gzip, and inside an HTML page`,
  ],
  [
    'half an image',
    async () => qcow2.subarray(0, 150_000),
    `${INFORMATION} a qcow2 image that was cut off: it has 150000`,
  ],
  [
    'an encrypted image',
    async () => {
      createEncrypted(join(directory, 'luks.qcow2'), 'qcow2');
      return await readFile(join(directory, 'luks.qcow2'));
    },
    `${INFORMATION} a qcow2 image that is encrypted (LUKS)`,
  ],
  [
    'a flat VMDK',
    () => made('flat.vmdk', '-f', 'vmdk', '-o', 'subformat=monolithicFlat'),
    `${INFORMATION} the descriptor`,
  ],
])('reports what it found instead of an image: %s', async (name, content, message) => {
  const { result, files } = await importing(name.replaceAll(' ', '-'), await content());
  expect(result).toEqual({ reason: 'Error', message: expect.stringContaining(message) });
  expect(files).toEqual([]);
});

test('never hands out a file of the host that a VMDK names', async () => {
  await writeFile(join(directory, 'secret'), Buffer.alloc(MIB, 'secret'));
  const evil = await made('evil.vmdk', '-f', 'vmdk');
  const extent = `RW 2048 FLAT "${join(directory, 'secret')}" 0`;
  const descriptor = `# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n${extent}\n`;
  evil.fill(0, 512, 512 + 20 * 512);
  evil.write(descriptor, 512);
  // What QEMU would do with it: without a capacity the descriptor decides.
  evil.writeBigUInt64LE(0n, 12);
  await writeFile(join(directory, 'evil.vmdk'), evil);
  const leaked = join(directory, 'leaked');
  execFileSync('qemu-img', ['convert', '-f', 'vmdk', '-O', 'raw', join(directory, 'evil.vmdk'), leaked]);
  expect(await readFile(leaked, 'latin1')).toContain('secret');
  expect((await importing('evil-without-capacity', evil)).result).toMatchObject({ reason: 'Error' });
  evil.writeBigUInt64LE(16_384n, 12);
  const { result, files } = await importing('evil', evil);
  expect(result).toMatchObject({ message: expect.stringContaining('of the kind "monolithicFlat"') });
  expect(files).toEqual([]);
});

test('reports the received bytes of an interrupted download', async () => {
  const cut: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-length': qcow2.length });
    response.write(qcow2.subarray(0, 70_000), () => response.socket?.destroy());
  };
  expect((await importing('cut', cut)).result).toEqual({
    reason: 'ImagePullFailed',
    message: expect.stringMatching(
      `scratch space: failed to pull image: unexpected EOF: 70000 of ${qcow2.length} bytes came`,
    ),
  });
});

test.each([
  ['gzip', gzipSync, 'gzip: unexpected end of file after'],
  ['xz', pack('xz'), 'xz: Unexpected end of input after'],
  ['zstd', pack('zstd'), 'zstd: Read error (39) : premature end after'],
])('names how far an image came that is cut off inside %s', async (name, packer, message) => {
  const packed = packer(Buffer.from(qcow2));
  expect((await importing(name, packed.subarray(0, packed.length / 2))).result).toEqual({
    reason: 'ImagePullFailed',
    message: expect.stringContaining(`failed to pull image: ${message}`),
  });
});

test.each([
  ['401', 401, 'Unable to connect to http data source: expected status code 200, got 401. Status: 401 Unauthorized'],
  ['503', 503, 'expected status code 200, got 503'],
])('names the status %s', async (name, status, message) => {
  const { result } = await importing(name, (_, response) => void response.writeHead(status).end());
  expect(result).toEqual({ reason: 'Error', message: expect.stringContaining(message) });
});

test('stops a stream that is larger than its volume, and a bomb', async () => {
  const endless: RequestListener = (_, response) => {
    const more = () => void (response.destroyed || response.write(Buffer.alloc(MIB), more));
    more();
  };
  const small = 'DataVolume too small to contain image';
  expect((await importing('endless', endless)).result).toMatchObject({ message: expect.stringContaining(small) });
  const bomb = gzipSync(Buffer.alloc(200 * MIB));
  expect((await importing('bomb', bomb)).result).toMatchObject({
    message: expect.stringContaining('unpacked it has more'),
  });
  expect((await importing('large', qcow2, MIB)).result).toMatchObject({
    message: `${small}: virtual image size ${8 * MIB} is larger than the reported available storage ${MIB}`,
  });
});

test('ends when it is aborted before its process has begun', async () => {
  const controller = new AbortController();
  const ended = importing('silent', () => {}, undefined, controller.signal);
  controller.abort(new Error('The volume has gone'));
  expect(await ended).toMatchObject({ result: { message: 'The volume has gone' } });
});
