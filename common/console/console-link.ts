import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../clock/clock.ts';
import type { FarmKey } from '../config/sealing.ts';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import type { ConsoleFront } from './console-front.ts';
import { keepSocketAlive } from './socket-life.ts';

const ROOT = '/internal/consoles/';
const HANDSHAKE_MS = 5_000;
/** Clocks of two processes may differ by less than this. */
const TICKET_MS = 60_000;
/** Viewers send little at a time. */
const MOST_PAYLOAD = 64 * 1024;

/** Shared knowledge of both ends of a link. */
export interface LinkOptions {
  /** The proof that the other one belongs to the farm. */
  readonly farmKey: Pick<FarmKey, 'fingerprint'>;
  readonly clock: Clock;
}

/**
 * Opens the console that another process of the farm has the session of: raw RFB bytes, as from the machine itself.
 * @throws ConnectionLost, or the signal's reason
 */
export async function dialConsole(
  { farmKey, clock }: LinkOptions,
  { address, machine, signal }: { readonly address: string; readonly machine: string; readonly signal: AbortSignal },
): Promise<Duplex> {
  signal.throwIfAborted();
  const path = `${ROOT}${encodeURIComponent(machine)}`;
  const socket = new WebSocket(new URL(path, address.replace(/^http/, 'ws')), {
    headers: { authorization: `Slipway ${ticket(farmKey, machine, clock.now())}` },
    handshakeTimeout: HANDSHAKE_MS,
    perMessageDeflate: false,
  });
  // Before it is open: the other end speaks first, and at once. Its reader sees its errors.
  const stream = createWebSocketStream(socket);
  stream.on('error', () => {});
  const abandon = () => socket.terminate();
  signal.addEventListener('abort', abandon, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.on('error', (cause) =>
        reject(new FarmError('ConnectionLost', `${address}: ${errorMessage(cause)}`, { cause })),
      );
    });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', abandon);
  }
  void keepSocketAlive(socket, clock);
  return stream;
}

export interface ServedConsoles extends LinkOptions {
  /** The console of a machine whose session this process has. */
  find(machine: string): Pick<ConsoleFront, 'attach'> | undefined;
  /** Whether keys that come by the link may be typed. */
  mayType(machine: string): boolean;
}

/** Shows consoles to other processes of the farm. Returns whether a request was one of theirs. */
export function consoleLinks(options: ServedConsoles): (upgrade: Upgrade) => boolean {
  const server = webSockets();
  return ({ request, socket, head }) => {
    const path = request.url ?? '';
    if (!path.startsWith(ROOT)) return false;
    const machine = decodeMachine(path);
    const console = options.find(machine);
    if (!isValid(options, machine, request.headers.authorization)) refuse(socket, '401 Unauthorized');
    else if (!console) refuse(socket, '404 Not Found');
    else {
      server.handleUpgrade(request, socket, head, (link) => {
        void keepSocketAlive(link, options.clock);
        console.attach(createWebSocketStream(link), { name: machine, mayType: () => options.mayType(machine) });
      });
    }
    return true;
  };
}

/** A request to change protocols, as Node hands it over. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** Serves console links; other upgrade requests are not handled. */
export function serveConsoleLinks(server: Server, options: ServedConsoles): void {
  const serve = consoleLinks(options);
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    if (!serve({ request, socket, head })) refuse(socket, '404 Not Found');
  });
}

/** Accepts handshakes: small messages, and the subprotocol of noVNC where it is offered. */
export function webSockets(): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MOST_PAYLOAD,
    handleProtocols: (offered) => (offered.has('binary') ? 'binary' : false),
  });
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}

function decodeMachine(path: string): string {
  try {
    return decodeURIComponent(path.slice(ROOT.length));
  } catch {
    return '';
  }
}

/** `<time>.<HMAC of time and machine>`: invalid for another machine, or a minute later. */
function ticket(farmKey: LinkOptions['farmKey'], machine: string, time: number): string {
  return `${time}.${farmKey.fingerprint(`console ${time} ${machine}`)}`;
}

function isValid({ farmKey, clock }: LinkOptions, machine: string, header: string | undefined): boolean {
  const given = /^Slipway (\d{1,15})\.[0-9a-f]+$/.exec(header ?? '');
  const time = Number(given?.[1]);
  if (!given || Math.abs(clock.now() - time) > TICKET_MS) return false;
  const [actual, expected] = [Buffer.from(given[0]), Buffer.from(`Slipway ${ticket(farmKey, machine, time)}`)];
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}
