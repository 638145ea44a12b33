import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, json } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createLogger } from '../../common/logging/logger.ts';
import { readSparse, SPARSE_TYPE } from '../../common/nbd/sparse-stream.ts';
import { ApiError } from '../api/api-error.ts';
import { ensureCredentials } from '../api/credentials.ts';
import { contentPath } from './content-path.ts';
import { ExportServer, type ExportServerOptions } from './export-server.ts';

const CONTENT = randomBytes(40 << 20);
const CLAIM = { namespace: 'farm', name: 'export', claim: 'disk' };
const logger = createLogger({ name: 'test', level: 'silent' });

let folder: string;
let authority: string;
let options: ExportServerOptions;
let server: ExportServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-exports-'));
  await writeFile(join(folder, 'raw'), CONTENT);
  const path = join(folder, 'disk.qcow2');
  await promisify(execFile)('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', join(folder, 'raw'), path]);
  const credentials = await ensureCredentials(folder, '127.0.0.1');
  authority = credentials.authority;
  options = {
    identity: { host: '127.0.0.1', ...credentials },
    logger,
    lastPort: 0,
    find: async ({ token, ...claim }) => {
      expect(claim).toEqual(CLAIM);
      if (token === 'broken') return { path: join(folder, 'missing'), sizeBytes: CONTENT.length };
      if (token !== 'token') throw new ApiError(401, 'Unauthorized', 'Unauthorized');
      return { path, sizeBytes: CONTENT.length };
    },
  };
  server = new ExportServer(options);
});

afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

interface Asking {
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly path?: string;
  readonly at?: string;
}

async function ask({
  headers = {},
  method = 'GET',
  path = contentPath(CLAIM),
  at,
}: Asking = {}): Promise<IncomingMessage> {
  const sent = { 'x-kubevirt-export-token': 'token', ...headers };
  const asked = request(`${at ?? (await server.url())}${path}`, { ca: authority, method, agent: false, headers: sent });
  asked.on('error', () => {});
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response;
}

test('a disk is read as a whole, by ranges, and without its zeros', async () => {
  const whole = await ask();
  expect([whole.statusCode, whole.headers['content-length']]).toEqual([200, `${CONTENT.length}`]);
  expect((await buffer(whole)).equals(CONTENT)).toBe(true);
  const range = await ask({ headers: { range: 'bytes=1000-1999' } });
  expect([range.statusCode, range.headers['content-range']]).toEqual([206, `bytes 1000-1999/${CONTENT.length}`]);
  expect((await buffer(range)).equals(CONTENT.subarray(1_000, 2_000))).toBe(true);
  const sparse = await ask({ headers: { accept: SPARSE_TYPE } });
  expect(sparse.headers['content-type']).toBe(SPARSE_TYPE);
  const { sizeBytes, runs } = await readSparse(sparse, 0);
  const pieces: Buffer[] = [];
  for await (const { bytes } of runs) if (bytes) pieces.push(bytes);
  expect([sizeBytes, Buffer.concat(pieces).equals(CONTENT)]).toEqual([CONTENT.length, true]);
  const head = await ask({ method: 'HEAD' });
  expect([head.headers['content-length'], (await buffer(head)).length]).toEqual([`${CONTENT.length}`, 0]);
});

test.each([
  ['another token', { headers: { 'x-kubevirt-export-token': 'another' } }, { code: 401, reason: 'Unauthorized' }],
  ['a range beyond the end', { headers: { range: `bytes=${CONTENT.length}-` } }, { code: 416, reason: 'BadRequest' }],
  ['another path', { path: '/apis' }, { code: 404, reason: 'NotFound' }],
  ['a path that is no URL', { path: '//' }, { code: 404, reason: 'NotFound' }],
])('%s is refused with a Status', async (_, asking: Asking, status) => {
  const response = await ask(asking);
  expect(response.statusCode).toBe(status.code);
  expect(await json(response)).toMatchObject({ kind: 'Status', status: 'Failure', ...status });
});

test('an answer that cannot be continued is cut, and the server serves the next one', async () => {
  await expect(ask({ headers: { 'x-kubevirt-export-token': 'broken' } })).rejects.toThrow('socket hang up');
  expect((await ask({ method: 'HEAD' })).statusCode).toBe(200);
});

test('a client that leaves, and a server that stops, end the transfer', async () => {
  const readers = async () => {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'args=', '--ppid', `${process.pid}`]);
    return stdout.split('\n').filter((line) => line.startsWith('qemu-img convert') && line.includes(folder)).length;
  };
  const left = await ask();
  expect(await readers()).toBe(1);
  left.destroy();
  await expect.poll(readers).toBe(0);
  const response = await ask();
  const read = buffer(response);
  read.catch(() => {});
  response.pause();
  await server.close();
  await expect(read).rejects.toThrow('aborted');
  expect(await readers()).toBe(0);
});

test('a thread that fails is started again at its port', async () => {
  const listened = vi.spyOn(Worker.prototype, 'on');
  const failing = new ExportServer(options);
  const url = await failing.url();
  const thread = listened.mock.contexts[0] as Worker | undefined;
  listened.mockRestore();
  thread?.emit('error', new Error('out of memory'));
  await thread?.terminate();
  await expect.poll(() => ask({ at: url }).then(({ statusCode }) => statusCode)).toBe(200);
  await failing.close();
});

test('a server listens where the one before it did, unless that port is taken', async () => {
  const first = new ExportServer(options);
  const url = await first.url();
  const lastPort = Number(new URL(url).port);
  const other = new ExportServer({ ...options, lastPort });
  expect(await other.url()).not.toBe(url);
  await first.close();
  const next = new ExportServer({ ...options, lastPort });
  expect(await next.url()).toBe(url);
  await Promise.all([other.close(), next.close()]);
});
