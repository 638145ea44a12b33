import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { readVersion, VERSION_HEADER } from '../../common/config/version.ts';
import { collectGarbage } from '../../test/harness/collect-garbage.ts';
import { FarmApi } from './farm-api.ts';

/** What `GET /builds` of a farm of this version that answers so ends with. */
async function listBuilds(version: string, status: number, answer: unknown): Promise<unknown> {
  const server = createServer((_request, response) => {
    response.writeHead(status, { [VERSION_HEADER]: version }).end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const farm = new FarmApi({ url: `http://127.0.0.1:${port}`, token: 'token' });
  return farm.call('listBuilds', {}).catch((error: unknown) => error);
}

test('a body is sent as it comes: its size is not held in memory', async () => {
  const mebibytes = 384;
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end(JSON.stringify({ received: 1 })));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  let most = 0;
  async function* pieces() {
    for (let count = 0; count < mebibytes; count += 1) {
      yield Buffer.alloc(1024 ** 2);
      if (count % 16 !== 0) continue;
      // What is held, without what only waits to be collected.
      collectGarbage();
      most = Math.max(most, process.memoryUsage().arrayBuffers);
    }
  }
  const { port } = server.address() as AddressInfo;
  const farm = new FarmApi({ url: `http://127.0.0.1:${port}`, token: 'token' });
  const body = Readable.from(pieces(), { objectMode: false });
  await farm.ask('putBlob', { params: { sha256: 'f'.repeat(64) }, body });
  expect(most).toBeLessThan((mebibytes / 2) * 1024 ** 2);
});

const REFUSED = { type: 'about:blank', title: '', status: 409, detail: 'It is too hot.', code: 'Heat', solve: 'Wait.' };

test('an answer of another version that is not understood names both versions', async () => {
  expect(await listBuilds('99.0.0', 200, { builds: 1 })).toMatchObject({
    code: 'VersionSkew',
    message: expect.stringMatching(
      /runs Slipway 99\.0\.0, and this program is Slipway \d.*: its answer to \/api\/v1\/builds cannot be read: builds: /,
    ),
  });
});

test('a refusal that only a newer farm knows is shown with its own advice', async () => {
  expect(await listBuilds('99.0.0', 409, REFUSED)).toMatchObject({
    code: 'VersionSkew',
    message: expect.stringMatching(/: It is too hot\. \(Heat\)\.$/),
    details: { solve: 'Wait.' },
  });
});

test('an answer of the same version that is not understood is a bug', async () => {
  expect(await listBuilds(readVersion(), 200, { builds: 1 })).toMatchObject({ code: 'BrokenInvariant' });
});
