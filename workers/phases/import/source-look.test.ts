import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createGuardedAgent } from '../../../common/fetch/guarded-agent.ts';
import { judgeLook, lookAtSource } from './source-look.ts';

async function looking(answer: RequestListener) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const agent = createGuardedAgent({ allowedAddresses: ['127.0.0.1'] });
  try {
    return await lookAtSource(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x.qcow2`, { agent });
  } finally {
    server.closeAllConnections();
    server.close();
    await agent.destroy();
  }
}

test('reports the status of a truncated answer and of a failing server, and leaves both to the importer', async () => {
  const cut: RequestListener = (_, response) => {
    response.writeHead(206, { 'content-length': 99_999 });
    response.write(Buffer.alloc(1024), () => response.socket?.destroySoon());
  };
  expect(await looking(cut)).toEqual({ answer: 'HTTP 200' });
  expect(await looking((_, response) => void response.writeHead(503).end())).toEqual({ answer: 'HTTP 503' });
});

test.each([
  ['data', 'disk', 'no machine can boot from it'],
  ['disk', 'disk', undefined],
  ['hybrid', 'disk', 'list it under isos'],
  ['data', 'iso', 'is not an ISO 9660 or UDF image'],
  ['disk', 'iso', 'is not an ISO 9660 or UDF image'],
  ['hybrid', 'iso', undefined],
  ['iso', 'iso', undefined],
] as const)('what is %s, given as %s, may be a mistake: %s', (kind, use, mistake) => {
  const look = { answer: 'HTTP 200', image: { format: 'raw', virtualSizeBytes: 4096, kind } } as const;
  const advice = judgeLook(look, { what: 'disk "root"', use });
  expect(advice).toEqual(mistake === undefined ? undefined : expect.stringContaining(mistake));
});
