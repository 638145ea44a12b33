import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { submitWithFiles } from '../../cli/local-files/send-local-files.ts';
import { TransferLine } from '../../cli/output/transfer-line.ts';
import { blobLink } from '../../common/blobs/signed-links.ts';
import { systemClock } from '../../common/clock/clock.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import { problemDetailsSchema } from '../../common/contracts/problems.ts';
import { readNeededBlobs } from '../../common/redis/layers.ts';
import { type LiveApi, startApi, TOKEN } from './live-api.ts';

const hashOf = (content: string | Buffer) => hash('sha256', content);
const CONTENT = Buffer.from('#!/bin/sh\necho hello\n'.repeat(20_000));
const SHA256 = hashOf(CONTENT);

function moduleWith(path = './setup.sh'): string {
  return `
name: site
vms:
  - name: vm
    source: { blank: true }
    resources: { cpu: 1, memory: 1Gi }
    provisioners: [{ type: shell, shell: { script: ${path} } }]
`;
}

function submission(sha256 = SHA256, sizeBytes = CONTENT.length) {
  const files = [{ path: 'lab/site.yaml', text: moduleWith() }];
  return { files, variables: {}, localFiles: [{ path: 'lab/setup.sh', sha256, sizeBytes, mode: '0755' }] };
}

describe('local files', () => {
  let api: LiveApi;

  beforeAll(async () => {
    api = await startApi();
  });

  afterAll(() => api.close());

  afterEach(() => api.reset());

  const at = (sha256: string) => `/api/v1/blobs/${sha256}`;
  const put = (sha256: string, body: Buffer, headers = {}, token = TOKEN) =>
    api.call(at(sha256), { method: 'PUT', body: new Uint8Array(body), headers }, token);
  const problem = async (answer: Response) => problemDetailsSchema.parse(await answer.json());

  /** Sends the first bytes of a content and goes silent; gives what ends the connection. */
  async function sendSome(sha256: string, bytes: Buffer, total: number): Promise<() => void> {
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-length': total };
    const sending = request(`${api.url}${at(sha256)}`, { method: 'PUT', headers });
    sending.on('error', () => {});
    sending.write(bytes);
    await expect.poll(async () => (await partSizes()).includes(bytes.length)).toBe(true);
    return () => void sending.destroy();
  }

  /** Sends the first bytes of a content and goes away. */
  async function cutAfter(sha256: string, bytes: Buffer, total: number): Promise<void> {
    const end = await sendSome(sha256, bytes, total);
    end();
    await expect
      .poll(async () => (await api.call(at(sha256), { method: 'HEAD' })).headers.get('upload-offset'))
      .toBe(String(bytes.length));
  }

  async function partSizes(): Promise<number[]> {
    const parts = join(api.directory, 'parts');
    const names = await readdir(parts);
    return Promise.all(names.map(async (name) => (await stat(join(parts, name)).catch(() => ({ size: -1 }))).size));
  }

  test('continue where an upload was cut, and are whole only with the hash that names them', async () => {
    const before = await api.call(at(SHA256), { method: 'HEAD' });
    expect([before.status, before.headers.get('upload-offset')]).toEqual([404, '0']);
    const half = CONTENT.subarray(0, CONTENT.length / 2);
    await cutAfter(SHA256, half, CONTENT.length);
    const range = (first: number) => ({ 'content-range': `bytes ${first}-${CONTENT.length - 1}/${CONTENT.length}` });
    const beyond = half.length + 10;
    const elsewhere = await put(SHA256, CONTENT.subarray(beyond), range(beyond));
    expect([elsewhere.status, elsewhere.headers.get('upload-offset')]).toEqual([409, String(half.length)]);
    expect((await problem(elsewhere)).code).toBe('UploadConflict');
    const rest = await put(SHA256, CONTENT.subarray(half.length), range(half.length));
    expect([rest.status, await rest.json()]).toEqual([201, { sha256: SHA256, sizeBytes: CONTENT.length }]);
    expect((await put(SHA256, CONTENT)).status).toBe(200);
    expect((await api.call(at(SHA256), { method: 'HEAD' })).headers.get('upload-offset')).toBe(String(CONTENT.length));
    const wrong = await put(hashOf('another'), CONTENT);
    expect(await problem(wrong)).toMatchObject({
      status: 422,
      code: 'HashMismatch',
      detail: expect.stringContaining(SHA256),
    });
    expect((await api.call(at(hashOf('another')))).status).toBe(404);
    expect(await readdir(join(api.directory, 'parts'))).toEqual([]);
  });

  test('continue from an upload whose connection is dead, though the farm has not noticed', async () => {
    const content = Buffer.concat([CONTENT, Buffer.from('dead')]);
    const half = content.subarray(0, content.length / 2);
    const end = await sendSome(hashOf(content), half, content.length);
    const { headers } = await api.call(at(hashOf(content)), { method: 'HEAD' });
    expect(headers.get('upload-offset')).toBe(String(half.length));
    // A sender may go back, too.
    const from = half.length - 10;
    const range = { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` };
    expect((await put(hashOf(content), content.subarray(from), range)).status).toBe(201);
    end();
    await expect.poll(() => readdir(join(api.directory, 'parts'))).toEqual([]);
  });

  test('are sent on by the command line where the network cut them', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-sent-'));
    const path = join(folder, 'setup.sh');
    const content = Buffer.alloc(4 * 1024 ** 2, 'echo\n');
    await writeFile(path, content);
    const { size: sizeBytes, mtimeMs: modifiedMs } = await stat(path);
    const cutAt = 3 * 1024 ** 2;
    const network = await cutOnce(new URL(api.url), cutAt);
    try {
      const client = new FarmClient({ url: network.url, token: TOKEN });
      const contents = new Map([[hashOf(content), { path, sizeBytes, modifiedMs }]]);
      const line = new TransferLine(process.stderr);
      await submitWithFiles({ client, contents, line }, () => client.submit(submission(hashOf(content), sizeBytes)));
      expect(network.cuts()).toBe(1);
      // All of it passed, and not twice.
      expect(network.passed()).toBeGreaterThan(sizeBytes);
      expect(network.passed()).toBeLessThan(sizeBytes + cutAt / 2);
    } finally {
      await network.close();
      await rm(folder, { recursive: true });
    }
  });

  test('are taken twice at once, and empty ones too', async () => {
    const content = Buffer.concat([CONTENT, Buffer.from('twice')]);
    const answers = await Promise.all([1, 2, 3].map(() => put(hashOf(content), content)));
    expect(answers.map(({ status }) => Math.floor(status / 100))).toEqual([2, 2, 2]);
    expect((await put(hashOf(''), Buffer.alloc(0))).status).toBe(201);
    expect(await (await api.call(at(hashOf('')))).json()).toEqual({ sha256: hashOf(''), sizeBytes: 0 });
    expect(await readdir(join(api.directory, 'parts'))).toEqual([]);
  });

  test('are refused to viewers, and under names that are not hashes', async () => {
    const viewer = await api.tokenOf('viewer');
    expect((await problem(await put(SHA256, CONTENT, {}, viewer))).code).toBe('Forbidden');
    expect((await put(SHA256, CONTENT, {}, 'nobody')).status).toBe(401);
    for (const name of ['..%2fwhole', SHA256.toUpperCase(), `${SHA256}0`]) {
      expect([name, (await put(name, CONTENT)).status]).toEqual([name, 400]);
    }
    const range = await put(hashOf('ab'), Buffer.from('b'), { 'content-range': 'bytes 1-1/*' });
    expect((await problem(range)).detail).toContain('FIRST-LAST/SIZE');
  });

  test('have to be there before a build is accepted, are needed until it ends, and are handed out by link', async () => {
    await expect(api.client.submit({ ...submission(), localFiles: [] })).rejects.toMatchObject({
      code: 'InvalidModule',
      message: expect.stringMatching(
        /^lab\/site.yaml:7:52: vms\[0\].provisioners\[0\].shell.script: ".\/setup.sh" was not sent .*"lab\/setup.sh"/,
      ),
    });
    const content = Buffer.from('echo new');
    const refused = await api.call('/api/v1/builds', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(submission(hashOf(content), content.length)),
    });
    expect(await problem(refused)).toMatchObject({
      ...{ status: 409, code: 'BlobMissing', missing: [hashOf(content)] },
      detail: expect.stringContaining('lab/setup.sh'),
    });
    await put(hashOf(content), content);
    const { plan } = await api.client.submit(submission(hashOf(content), content.length));
    expect(plan.modules[0]?.action).toBe('build');
    // As if it had been sent long ago.
    const path = join(api.directory, 'whole', hashOf(content));
    const sweep = async () => {
      await utimes(path, 1, 1);
      return api.blobs.sweep(systemClock.now() - 60_000, () => readNeededBlobs(api.redis));
    };
    expect(await sweep()).toBe(0);
    const link = new URL(blobLink({ farmKey: api.farmKey, clock: systemClock }, api.url, hashOf(content)));
    const part = await fetch(link, { headers: { range: 'bytes=5-6' } });
    expect([part.status, await part.text()]).toEqual([206, 'ne']);
    expect((await fetch(link, { method: 'HEAD' })).headers.get('content-length')).toBe(String(content.length));
    await api.work();
    expect(await sweep()).toBe(1);
    expect((await fetch(link)).status).toBe(404);
    const [layer] = (await api.client.plan(submission(hashOf(content), content.length))).modules;
    expect(layer?.action).toBe('reuse');
    // What is reused needs no content.
    await api.client.submit(submission(hashOf(content), content.length));
  });

  test('open by a link to one of them only, while it holds', async () => {
    await put(SHA256, CONTENT);
    const { farmKey } = api;
    const link = new URL(blobLink({ farmKey, clock: systemClock }, api.url, SHA256));
    expect(hashOf(Buffer.from(await (await fetch(link)).arrayBuffer()))).toBe(SHA256);
    const long = { ...systemClock, now: () => systemClock.now() - 25 * 3_600_000 };
    const wrong = [
      new URL(link.pathname, link),
      new URL(link.href.replace(SHA256, hashOf(''))),
      new URL(link.href.replace(/expires=(\d+)/, (_, at) => `expires=${Number(at) + 1}`)),
      new URL(blobLink({ farmKey: createFarmKey('another'), clock: systemClock }, api.url, SHA256)),
      new URL(blobLink({ farmKey, clock: long }, api.url, SHA256)),
    ];
    for (const url of wrong) expect([url.href, (await fetch(url)).status]).toEqual([url.href, 403]);
  });

  test('decide the layer by content and mode, not by path', async () => {
    const [of, moved] = [
      submission(),
      { ...submission(), files: [{ path: 'lab/b/site.yaml', text: moduleWith('../setup.sh') }] },
    ];
    const key = async (asked: typeof of) => (await api.client.plan(asked)).modules[0]?.layerKey;
    expect(await key(moved)).toBe(await key(of));
    expect(await key(submission(hashOf('other')))).not.toBe(await key(of));
  });
});

/** A network to the address that breaks one connection, when it has let so many bytes through, and no further one. */
async function cutOnce({ hostname, port }: URL, bytes: number) {
  let passed = 0;
  let cuts = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket.on('error', () => {}));
      socket.on('close', () => near.destroy());
      socket.on('close', () => far.destroy());
    }
    far.pipe(near);
    near.pipe(far);
    near.on('data', (chunk) => {
      passed += chunk.length;
      if (cuts > 0 || passed < bytes) return;
      cuts += 1;
      near.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    passed: () => passed,
    cuts: () => cuts,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('a farm with little room', () => {
  let api: LiveApi | undefined;

  afterEach(() => api?.close());

  test('refuses a content that is too large before it is sent, with and without a Content-Length', async () => {
    api = await startApi({}, undefined, { blobLimits: { maxBytes: 1000, totalBytes: 1500 } });
    const put = (content: Buffer) =>
      api?.call(`/api/v1/blobs/${hashOf(content)}`, { method: 'PUT', body: new Uint8Array(content) }) ??
      Promise.reject();
    const refused = async (answer: Response) => problemDetailsSchema.parse(await answer.json());
    const large = await refused(await put(Buffer.alloc(1001)));
    expect(large).toMatchObject({ status: 413, code: 'RequestTooLarge' });
    expect(large.detail).toContain('1001 bytes');
    expect(large.detail).toContain('1000 (1000 bytes, blobs.maxSize)');
    const stream = new Blob([new Uint8Array(5000)]).stream();
    const chunked = { method: 'PUT', body: stream, duplex: 'half' } as const;
    expect((await api.call(`/api/v1/blobs/${SHA256}`, chunked)).status).toBe(413);
    expect((await put(Buffer.alloc(1000, 'a'))).status).toBe(201);
    expect(await refused(await put(Buffer.alloc(1000, 'b')))).toMatchObject({ status: 507, code: 'BlobsFull' });
  });

  test('names the missing option when a cluster cannot read from it', async () => {
    api = await startApi({}, undefined, { blobsUrl: null });
    await api.reset();
    await expect(api.client.submit(submission())).rejects.toMatchObject({
      code: 'LocalFilesOff',
      message: expect.stringContaining('the option blobs.url is missing'),
    });
  });
});
