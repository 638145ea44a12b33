import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { BlockList, isIPv4 } from 'node:net';
import type { Duplex } from 'node:stream';
import { errorMessage } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { requestedName } from './file-server.ts';
import { type FileShelf, ShelfRefusal } from './file-shelf.ts';
import type { NameRecords } from './name-records.ts';
import { reachGuest } from './reach-guest.ts';

export interface ControlOptions {
  readonly shelf: FileShelf;
  /** Networks that may be connected to, in CIDR notation. */
  readonly networks: readonly string[];
  /** Records of its name server. */
  readonly records: NameRecords;
  readonly logger: Logger;
}

/**
 * Requests of workers to a relay, on the loopback of its network namespace only, so that no guest can reach it:
 * `CONNECT ip:port` to a guest, `PUT /files/<name>?sha256=…`, `GET /files` (hashes by name), `PUT /names/<name>?address=ip`
 * (where a machine of the module is now) and `GET /healthz`.
 */
export function createControlServer(options: ControlOptions): Server {
  const guests = new BlockList();
  for (const network of options.networks) {
    const [address = '', prefix = '32'] = network.split('/');
    guests.addSubnet(address, Number(prefix), 'ipv4');
  }
  const server = http.createServer((request, response) => void answer(request, response, options));
  server.on('connect', (request, socket, head) => tunnel(request.url ?? '', { socket, head, guests }));
  // Uploads and tunnels last as long as they last.
  server.requestTimeout = 0;
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ControlOptions): Promise<void> {
  const { shelf, logger } = options;
  try {
    const url = new URL(request.url ?? '', 'http://relay');
    if (request.method === 'GET' && url.pathname === '/healthz') response.end('ok\n');
    else if (request.method === 'GET' && url.pathname === '/files') response.end(JSON.stringify(shelf.hashes()));
    else if (request.method === 'PUT' && url.pathname.startsWith('/files/')) {
      const name = requestedName(url.pathname.slice('/files/'.length)) ?? '';
      await shelf.put(name, request, url.searchParams.get('sha256') ?? '');
      logger.info({ name }, 'A file was put');
      response.writeHead(201).end();
    } else if (request.method === 'PUT' && url.pathname.startsWith('/names/')) {
      response.writeHead(learn(url, options) ? 204 : 404).end();
    } else response.writeHead(404).end();
  } catch (error) {
    if (!(error instanceof ShelfRefusal)) logger.error({ err: error }, 'A request to the relay failed');
    if (response.headersSent) return;
    response.writeHead(error instanceof ShelfRefusal ? error.status : 500, { connection: 'close' });
    response.end(errorMessage(error));
  }
}

/** False for an unknown machine, or an invalid address. */
function learn({ pathname, searchParams }: URL, { records, logger }: ControlOptions): boolean {
  const name = requestedName(pathname.slice('/names/'.length)) ?? '';
  const address = searchParams.get('address') ?? '';
  const known = name.toLowerCase();
  if (!isIPv4(address) || !records.has(known)) return false;
  records.set(known, [address]);
  logger.info({ name, address }, 'A machine was named');
  return true;
}

interface Tunnel {
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly guests: BlockList;
}

/** 200 and then raw bytes; 403 outside the networks; 502 with the last reason when the guest cannot be reached in time. */
function tunnel(target: string, { socket, head, guests }: Tunnel): void {
  socket.on('error', () => socket.destroy());
  const refuse = (status: string, reason: string) => socket.end(`HTTP/1.1 ${status}\r\n\r\n${reason}`);
  const [, host = '', port = ''] = /^([\d.]+):(\d{1,5})$/.exec(target) ?? [];
  if (!isIPv4(host) || !guests.check(host, 'ipv4') || Number(port) > 65_535) {
    refuse('403 Forbidden', `"${target}" is not a guest of this relay`);
    return;
  }
  reachGuest({ host, port: Number(port) }, socket).then(
    (guest) => {
      guest.on('error', () => socket.destroy());
      socket.once('close', () => guest.destroy());
      guest.setKeepAlive(true, 30_000);
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) guest.write(head);
      socket.pipe(guest).pipe(socket);
    },
    (error) => refuse('502 Bad Gateway', errorMessage(error)),
  );
}
