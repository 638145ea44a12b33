import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { VERSION_HEADER } from '../../common/config/version.ts';
import { download } from './download.ts';

async function serve(answer: RequestListener) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  onTestFinished(() => void server.closeAllConnections());
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: 'token' };
}

test('a body is handed on, to the holder of the token', async () => {
  const farm = await serve(({ headers, url }, response) => {
    response.writeHead(206).end(`${url} ${headers.authorization} ${headers.range}`);
  });
  const response = await download(farm, '/content', { range: 'bytes=5-' });
  expect([response.statusCode, await text(response)]).toEqual([206, '/content Bearer token bytes=5-']);
});

test('a refusal is that of the farm', async () => {
  const refused = {
    type: 'about:blank',
    title: '',
    status: 404,
    detail: 'It was removed.',
    code: 'NotFound',
    solve: 'Try.',
  };
  const farm = await serve((_, response) => {
    response.writeHead(404, { [VERSION_HEADER]: '1.0.0' }).end(JSON.stringify(refused));
  });
  await expect(download(farm, '/content', {})).rejects.toMatchObject({
    code: 'NotFound',
    message: 'It was removed.',
    details: { solve: 'Try.' },
  });
  const proxy = await serve((_, response) => response.writeHead(503).end('busy'));
  await expect(download(proxy, '/content', {})).rejects.toMatchObject({ code: 'FarmUnreachable' });
});

test('a server that is away, and a body that is cut, are errors', async () => {
  const farm = await serve((_, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('part', () => response.destroy());
  });
  await expect(text(await download(farm, '/content', {}))).rejects.toThrow('aborted');
  const away = { url: 'http://127.0.0.1:1', token: '' };
  await expect(download(away, '/content', {})).rejects.toMatchObject({ code: 'FarmUnreachable' });
});
