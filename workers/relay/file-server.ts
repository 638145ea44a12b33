import { createReadStream } from 'node:fs';
import http, { type Server } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Logger } from '../../common/logging/logger.ts';
import type { FileShelf } from './file-shelf.ts';

/** Guests that never read on must not hold the relay's sockets. */
const IDLE_MS = 60_000;
/** Connections at once; further ones are closed. */
const MAX_CONNECTIONS = 1024;

/** Serves the files of `httpDirectory` to guests: only GET and HEAD of known names. */
export function createFileServer(shelf: FileShelf, logger: Logger): Server {
  const server = http.createServer(async (request, response) => {
    const name = requestedName(request.url);
    const file = name === undefined ? undefined : shelf.get(name);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    logger.info({ name, found: file !== undefined, guest: request.socket.remoteAddress }, 'A guest asks for a file');
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const headers = { 'content-type': 'application/octet-stream', 'content-length': file.sizeBytes };
    response.writeHead(200, { ...headers, etag: `"${file.sha256}"` });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    // A guest that goes away in the middle is none of our business.
    await pipeline(createReadStream(file.path), response).catch(() => response.destroy());
  });
  server.setTimeout(IDLE_MS);
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/** The decoded path without its leading slash, or undefined when it cannot be decoded. */
export function requestedName(url: string | undefined): string | undefined {
  const path = (url ?? '').split('?', 1)[0] ?? '';
  try {
    return decodeURIComponent(path.replace(/^\/+/, ''));
  } catch {
    return undefined;
  }
}
