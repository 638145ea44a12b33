import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createGuardedAgent } from '../../../common/fetch/guarded-agent.ts';
import { judgeLook, lookAtSource, type SourceUse } from './source-look.ts';

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
  ['data', 'disk', 'has no boot sector: it is treated as a raw disk'],
  ['disk', 'disk', undefined],
  ['hybrid', 'disk', 'list it under isos'],
  ['data', 'iso', 'is not an ISO 9660 or UDF image'],
  ['hybrid', 'iso', undefined],
  ['iso', 'iso', undefined],
] as const)('what is %s, given as %s, may be a mistake: %s', (kind, use, mistake) => {
  const look = { answer: 'HTTP 200', image: { format: 'raw', virtualSizeBytes: 4096, kind } } as const;
  const advice = judgeLook(look, { what: 'disk "root"', use });
  expect(advice).toEqual(mistake === undefined ? undefined : expect.stringContaining(mistake));
});

test('names the volume that a disk or a CD consists of', () => {
  const image = { format: 'raw', virtualSizeBytes: 4096, kind: 'data', volume: 'an XFS file system' } as const;
  const advice = (use: SourceUse) => judgeLook({ answer: 'HTTP 200', image }, { what: 'x', use });
  expect(advice('disk')).toBe(
    'x is an XFS file system without a partition table, and has no boot sector: it is treated as a raw disk',
  );
  expect(() => advice('boot')).toThrow('no machine boots from it');
  expect(advice('iso')).toBe('x is an XFS file system: it is attached as a CD unchanged');
});

test('what no machine boots from is refused where there is nothing else to boot from', () => {
  const image = { format: 'raw', virtualSizeBytes: 4096, kind: 'data' } as const;
  expect(() => judgeLook({ answer: 'HTTP 200', image }, { what: 'x', use: 'boot' })).toThrow(
    'Importing x: it is of no known format, and has no boot sector: no machine boots from it',
  );
  expect(
    judgeLook({ answer: 'HTTP 200', image: { ...image, kind: 'disk' } }, { what: 'x', use: 'boot' }),
  ).toBeUndefined();
});

test('a disk with a boot sector is not taken for a CD', () => {
  const image = { format: 'raw', virtualSizeBytes: 4096, kind: 'disk' } as const;
  expect(() => judgeLook({ answer: 'HTTP 200', image }, { what: 'x', use: 'iso' })).toThrow('give it as source.url');
  const fat = { ...image, volume: 'a FAT file system' };
  expect(judgeLook({ answer: 'HTTP 200', image: fat }, { what: 'x', use: 'iso' })).toContain('attached as a CD');
});
