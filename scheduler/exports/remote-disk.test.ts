import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open as openFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { hashOfFile } from '../../common/blobs/file-hash.ts';
import type { Clock } from '../../common/clock/clock.ts';
import { systemClock } from '../../common/clock/clock.ts';
import { zeros } from '../../common/nbd/run.ts';
import { SPARSE, SPARSE_TYPE, sparseOf, wantsSparse } from '../../common/nbd/sparse-stream.ts';
import { convertDisk } from './convert-disk.ts';
import { linkedContent } from './linked-content.ts';
import { RemoteDisk } from './remote-disk.ts';
import { writeRaw } from './write-raw.ts';

const run = promisify(execFile);
/** With a hole, as disks have them. */
const CONTENT = Buffer.concat([randomBytes(3 << 20), Buffer.alloc(5 << 20), randomBytes(1 << 20)]);
const TOKEN = 'token';
/** Pauses take no time. */
const hasty: Clock = { ...systemClock, now: systemClock.now, after: async () => {} };

let folder: string;
let key: string;
let certificates: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-disk-'));
  const files = ['-keyout', join(folder, 'key'), '-out', join(folder, 'cert')];
  const subject = ['-subj', '/CN=x', '-addext', 'subjectAltName=IP:127.0.0.1'];
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    ...subject,
    ...files,
  ]);
  [key, certificates] = (await Promise.all(['key', 'cert'].map((name) => readFile(join(folder, name), 'utf8')))) as [
    string,
    string,
  ];
  await writeFile(join(folder, 'content'), CONTENT);
});

afterAll(() => rm(folder, { recursive: true }));

interface Serving {
  readonly cutAfter?: number;
  readonly answers?: number;
  /** Knows the form without zeros. */
  readonly isSparse?: boolean;
}

/** Serves the content by ranges, `answers` times; each is cut after `cutAfter` bytes. Returns its link, and what was asked for. */
async function serve({
  cutAfter = Number.POSITIVE_INFINITY,
  answers = Number.POSITIVE_INFINITY,
  isSparse = false,
}: Serving = {}) {
  const ranges: (string | undefined)[] = [];
  const server: Server = createServer({ key, cert: certificates }, (request, response) => {
    const { range } = request.headers;
    ranges.push(range);
    const isKnown = request.headers['x-kubevirt-export-token'] === TOKEN;
    if (!isKnown || ranges.length > answers) return void response.writeHead(401).end();
    const start = Number(/\d+/.exec(range ?? '')?.[0] ?? 0);
    if (isSparse && wantsSparse(request.headers)) {
      response.writeHead(range ? 206 : 200, { 'content-type': SPARSE_TYPE });
      const whole = Readable.from([CONTENT.subarray(start)]);
      const sparse = Readable.from(sparseOf(whole, { start, sizeBytes: CONTENT.length }));
      void buffer(sparse).then((bytes) => {
        response.write(bytes.subarray(0, cutAfter), () => bytes.length > cutAfter && response.destroy());
        if (bytes.length <= cutAfter) response.end();
      });
      return;
    }
    response.writeHead(range ? 206 : 200, { 'content-length': CONTENT.length - start });
    const isCut = CONTENT.length - start > cutAfter;
    response.write(CONTENT.subarray(start, start + cutAfter), () => isCut && response.destroy());
    if (!isCut) response.end();
  });
  return { link: { url: await urlOf(server), cert: certificates, token: TOKEN }, ranges };
}

async function urlOf(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.closeAllConnections());
  onTestFinished(() => void server.close());
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/disk.img`;
}

async function open(link: Parameters<typeof linkedContent>[0]): Promise<RemoteDisk> {
  const disk = await RemoteDisk.open([linkedContent(link)], { clock: hasty, signal: new AbortController().signal });
  onTestFinished(() => disk.close());
  return disk;
}

test.each(['qcow2', 'vmdk', 'vhdx'] as const)(
  'a %s is written while the disk arrives, in one request',
  async (format) => {
    const { link, ranges } = await serve();
    const to = join(folder, `out.${format}`);
    const percents: number[] = [];
    const { signal } = new AbortController();
    await convertDisk(await open(link), { to, format, signal, onProgress: (percent) => percents.push(percent) });
    const compared = await run('qemu-img', ['compare', '-f', 'raw', '-F', format, join(folder, 'content'), to]);
    expect(compared.stdout).toContain('Images are identical');
    expect(ranges).toEqual([undefined]);
    expect(new Set(percents).size).toBeGreaterThan(2);
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
  },
);

test.each([
  ['raw', false],
  ['without its zeros', true],
])('a transfer that is cut goes on where it was, and the conversion does not notice: %s', async (_, isSparse) => {
  const { link, ranges } = await serve({ cutAfter: (1 << 20) - 13, isSparse });
  const to = join(folder, 'cut.qcow2');
  const { signal } = new AbortController();
  await convertDisk(await open(link), { to, format: 'qcow2', signal, onProgress: () => {} });
  await run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', join(folder, 'content'), to]);
  expect(ranges.length).toBeGreaterThan(4);
  const starts = ranges.slice(1).map((range) => Number(/\d+/.exec(range ?? '')?.[0]));
  expect(starts).toEqual([...starts].sort((a, b) => a - b));
});

test('holes of a disk are not transferred or read', async () => {
  const size = 20 * 1024 ** 3;
  const [first, second] = [randomBytes(3 << 20), randomBytes(100_000)];
  const at = 10 * 1024 ** 3 + 4096;
  const raw = await openFile(join(folder, 'large'), 'w');
  await raw.write(first, 0, first.length, 0);
  await raw.write(second, 0, second.length, at);
  await raw.truncate(size);
  await raw.close();
  const server = createServer({ key, cert: certificates }, (_, response) => {
    response.writeHead(200, { 'content-type': SPARSE_TYPE });
    const parts = [SPARSE.head(size), SPARSE.data(0, [first]), SPARSE.data(at, [second]), SPARSE.tail(size)];
    for (const piece of parts.flatMap((part) => [...part])) response.write(piece);
    response.end();
  });
  const disk = await open({ url: await urlOf(server), cert: certificates, token: TOKEN });
  const read = vi.spyOn(disk, 'read');
  const to = join(folder, 'large.qcow2');
  const { signal } = new AbortController();
  await convertDisk(disk, { to, format: 'qcow2', signal, onProgress: () => {} });
  const compared = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', join(folder, 'large'), to]);
  expect(compared.stdout).toContain('Images are identical');
  // What is around the data, and the end, which is not known when `qemu-img` asks for the first time.
  expect(read.mock.calls.reduce((sum, [, length]) => sum + length, 0)).toBeLessThan(80 << 20);
});

test('zeros are known where the transfer is, and nothing is read ahead to find them', async () => {
  const { link } = await serve({ isSparse: true });
  const disk = await open(link);
  const known = async (offset: number) => {
    const { length, isZero } = await disk.extent(offset, CONTENT.length - offset);
    return [length >> 20, isZero];
  };
  // Beyond what has arrived all is data.
  expect([await known(0), await known(4 << 20)]).toEqual([
    [2, false],
    [5, false],
  ]);
  await disk.read(0, 3 << 20);
  expect([await known(3 << 20), await known(4 << 20), await known(8 << 20)]).toEqual([
    [5, true],
    [4, true],
    [1, false],
  ]);
});

test('a raw file is sparse, and its hash needs no second look at it', async () => {
  const { link } = await serve({ cutAfter: 2 << 20 });
  const to = join(folder, 'raw');
  const sha256 = await writeRaw(await open(link), to, () => {});
  expect((await readFile(to)).equals(CONTENT)).toBe(true);
  expect((await stat(to)).blocks * 512).toBeLessThan(8 << 20);
  expect(sha256).toBe(await hashOfFile(to));
});

test('any order is read, at the price of further requests', async () => {
  const { link, ranges } = await serve();
  const disk = await open(link);
  for (const offset of [7 << 20, 100, 110]) {
    const runs = await disk.read(offset, 10);
    const bytes = runs.flatMap((run) => (run.bytes ? [run.bytes] : [...zeros(run.length)]));
    expect(Buffer.concat(bytes)).toEqual(CONTENT.subarray(offset, offset + 10));
  }
  expect(ranges).toEqual([undefined, `bytes=${7 << 20}-`, 'bytes=100-']);
});

test('a cluster that gives no byte any more fails the conversion with its reason, and leaves no process', async () => {
  const { link } = await serve({ cutAfter: 1 << 20, answers: 1 });
  const disk = await open(link);
  const { signal } = new AbortController();
  const converted = convertDisk(disk, { to: join(folder, 'lost'), format: 'qcow2', signal, onProgress: () => {} });
  await expect(converted).rejects.toThrow(/^Reading the disk from 127\.0\.0\.1:\d+: it answers with HTTP 401/);
});
