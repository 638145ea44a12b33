import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** One file that is served over HTTP. */
export interface ServedFile {
  readonly url: string;
  readonly sha256: string;
  /** Requests that asked for the content; HEAD and partial ones are not counted. */
  downloads(): number;
  stop(): Promise<void>;
}

/**
 * Serves one file on a free port, with HEAD, Content-Length and byte ranges, as an image mirror does. `host` is how those
 * who fetch it reach this machine; anything but loopback opens the port to the network. With a `login` (`user:password`)
 * only clients that identify themselves get it.
 */
export async function serveFile(path: string, host = '127.0.0.1', login?: string): Promise<ServedFile> {
  const { size } = statSync(path);
  const sha256 = await hash(path);
  let downloads = 0;
  const authorization = login === undefined ? undefined : `Basic ${Buffer.from(login).toString('base64')}`;
  const server = createServer((request, response) => {
    if (authorization !== undefined && request.headers.authorization !== authorization) {
      response.writeHead(401).end();
      return;
    }
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to), size - 1) : size - 1;
    response.setHeader('accept-ranges', 'bytes');
    response.setHeader('etag', `"${sha256}"`);
    response.setHeader('content-length', end - start + 1);
    if (from !== undefined) response.setHeader('content-range', `bytes ${start}-${end}/${size}`);
    response.writeHead(from === undefined ? 200 : 206);
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    if (from === undefined) downloads += 1;
    // A reader that goes away is its own affair.
    pipeline(createReadStream(path, { start, end }), response).catch(() => {});
  });
  server.listen(0, host.startsWith('127.') ? host : undefined);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}/${encodeURIComponent(basename(path))}`,
    sha256,
    downloads: () => downloads,
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function hash(path: string): Promise<string> {
  const digest = createHash('sha256');
  await pipeline(createReadStream(path), digest);
  return digest.digest('hex');
}
