import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askValidator, fetchSource } from './fetch-source.ts';
import { createGuardedAgent } from './guarded-agent.ts';

const open = createGuardedAgent({ allowedAddresses: ['127.0.0.1'] });
const guarded = createGuardedAgent({ allowedAddresses: [] });
const asked: string[] = [];
let server: Server;
let port: number;
let url: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const path = request.url?.split('?')[0];
    if (request.url === '/tagged') return void response.setHeader('etag', '"v1"').end('content');
    if (path === '/moved') return void response.writeHead(302, { location: '/tagged' }).end();
    if (path === '/nowhere') return void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
    if (path === '/no-head' && request.method === 'HEAD') return void response.writeHead(405).end();
    if (path === '/no-head') return void response.writeHead(206, { 'content-range': 'bytes 0-0/9' }).end('x');
    if (path === '/broken') return void response.writeHead(500).end();
    response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  url = `http://127.0.0.1:${port}`;
});

afterAll(async () => {
  await Promise.all([open.destroy(), guarded.destroy()]);
  server.closeAllConnections();
  server.close();
});

test.each(['127.0.0.1', 'localhost', '[::1]', '[::ffff:7f00:1]', '2130706433', '0x7f.1'])(
  'never connects to its own surroundings by the name of %s',
  async (host) => {
    asked.length = 0;
    await expect(fetchSource(`http://${host}:${port}/tagged`, { agent: guarded })).rejects.toMatchObject({
      code: 'SourceUnreachable',
      message: expect.stringContaining('is not a public address'),
    });
    expect(asked).toEqual([]);
  },
);

test('follows redirects, and reports errors without the secrets of the URL', async () => {
  expect(await (await fetchSource(`${url}/moved`, { agent: open })).text()).toBe('content');
  const failing = ['/gone?token=secret', '/broken?token=secret', '/nowhere?token=secret'].map((path) =>
    fetchSource(`${url}${path}`, { agent: open }).catch((error) => error.message),
  );
  expect(await Promise.all(failing)).toEqual([
    `${url}/gone: the server answered 404`,
    `${url}/broken: the server answered 500`,
    expect.stringMatching(/^http:\/\/127.0.0.1:\d+\/nowhere: .*/),
  ]);
  await expect(fetchSource('file:///etc/passwd', { agent: open })).rejects.toMatchObject({ code: 'SourceUnreachable' });
});

test('ends with the reason of the signal', async () => {
  const signal = AbortSignal.abort(new Error('cancelled'));
  await expect(fetchSource(`${url}/tagged`, { agent: open, signal })).rejects.toThrow('cancelled');
  await expect(askValidator(`${url}/tagged`, { agent: open, signal })).rejects.toThrow('cancelled');
});

test('reads the validators of a content, also from a server without HEAD', async () => {
  const read = (path: string) => askValidator(`${url}${path}`, { agent: open });
  expect(await read('/tagged')).toMatchObject({ etag: '"v1"' });
  expect(await read('/no-head')).toEqual({ etag: null, lastModified: null, lengthBytes: 9 });
  expect(await read('/broken')).toBeNull();
  expect(await askValidator(`${url}/tagged`, { agent: guarded })).toBeNull();
  await expect(read('/gone')).rejects.toMatchObject({ code: 'SourceUnreachable' });
});
