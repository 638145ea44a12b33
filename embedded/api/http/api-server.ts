import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../common/clock/clock.ts';
import type { Logger } from '../../../common/logging/logger.ts';
import { ApiError } from '../api-error.ts';
import type { ResourceKind } from '../objects.ts';
import type { Audit } from './audit.ts';
import { asApiError, type Exchange, sendBytes, sendJson } from './exchange.ts';
import { listen } from './listen.ts';
import { parseResourcePath, type ResourcePath, verbOf } from './resource-path.ts';
import { carriesToken } from './token-check.ts';

/** A request that wants to become a stream (WebSocket). */
export interface UpgradeRequest {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly url: URL;
  readonly path: ResourcePath;
  /** Aborted when the connection ends or the server stops. */
  readonly signal: AbortSignal;
}

/** The parts that the server serves; each answers unknown requests itself with an ApiError. */
export interface ApiRoutes {
  /** A document without parameters: discovery, OpenAPI. */
  document(pathname: string): unknown;
  kindOf(path: ResourcePath): ResourceKind | undefined;
  /** Requests for a stored kind. */
  resource(exchange: Exchange, kind: ResourceKind, path: ResourcePath): Promise<void>;
  /** Requests for anything else under a group; false for unknown paths. */
  virtual(exchange: Exchange, path: ResourcePath): Promise<boolean>;
  /** Streams. Throws an ApiError before it answers the upgrade, or takes the socket over. */
  upgrade(upgrade: UpgradeRequest): Promise<void>;
}

/** Parts of an API server. */
export interface ApiServerOptions {
  readonly routes: ApiRoutes;
  readonly key: string;
  readonly certificate: string;
  /** The bearer token of the one user, who may do everything. */
  readonly token: string;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly logger: Logger;
}

const BASE = 'https://cluster.invalid';
const HEALTH_PATHS = new Set(['/healthz', '/livez', '/readyz']);
const VERSION = {
  major: '1',
  minor: '32',
  gitVersion: 'v1.32.0+slipway-embedded',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: 'linux/amd64',
};

/** The HTTPS front of the embedded cluster. */
export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  /** Running requests, and the sockets that have become streams. */
  readonly #active = new Map<AbortController, Duplex | undefined>();

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#server = createServer({ key: options.key, cert: options.certificate, keepAliveTimeout: 60_000 });
    this.#server.requestTimeout = 0;
    this.#server.on('request', (request, response) => void this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
  }

  /** Listens at the first of these ports that is free, and resolves with it; 0 is any. */
  async listen(host: string, ports: readonly number[]): Promise<number> {
    return await listen(this.#server, host, ports);
  }

  /** Ends all watches, streams and connections. */
  async close(): Promise<void> {
    for (const [activity, socket] of this.#active) {
      activity.abort(new Error('The server stops.'));
      socket?.destroy();
    }
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = urlOf(request);
    const path = pathOf(url);
    if (path) this.#auditWhenDone(request, response, { url, path });
    const signal = this.#begin(response);
    const exchange: Exchange = { request, response, method: request.method ?? 'GET', url, signal };
    try {
      await this.#route(exchange, path);
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  async #route(exchange: Exchange, path: ResourcePath | undefined): Promise<void> {
    const { url, request, response, method } = exchange;
    const { routes, token } = this.#options;
    if (HEALTH_PATHS.has(url.pathname)) {
      sendBytes(response, 'text/plain; charset=utf-8', 'ok');
      return;
    }
    if (!carriesToken(request.headers.authorization, token)) throw new ApiError(401, 'Unauthorized', 'Unauthorized');
    const document = url.pathname === '/version' ? VERSION : routes.document(url.pathname);
    if (document !== undefined && method === 'GET') {
      sendJson(response, 200, document);
      return;
    }
    const kind = path && routes.kindOf(path);
    const isPlain = path !== undefined && (path.subresource.length === 0 || path.subresource.join('/') === 'status');
    if (kind && isPlain && (path.subresource.length === 0 || kind.statusSubresource)) {
      await routes.resource(exchange, kind, path);
    } else if (!path || !(await routes.virtual(exchange, path))) {
      throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    }
  }

  #fail({ request, response, url, method }: Exchange, error: unknown): void {
    const refusal = asApiError(error);
    if (refusal.code >= 500 && !(error instanceof ApiError)) {
      this.#options.logger.error({ err: error, method, path: url.pathname }, 'A request failed');
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    // The rest of a refused body is not read, so the connection cannot be reused.
    if (!request.complete) response.setHeader('Connection', 'close');
    sendJson(response, refusal.code, refusal.toStatus());
  }

  /** A signal that is aborted when `connection` closes or the server stops. */
  #begin(connection: ServerResponse | Duplex, socket?: Duplex): AbortSignal {
    const activity = new AbortController();
    this.#active.set(activity, socket);
    connection.once('close', () => {
      this.#active.delete(activity);
      activity.abort(new Error('The client has left.'));
    });
    return activity.signal;
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const url = urlOf(request);
    const path = pathOf(url);
    const signal = this.#begin(socket, socket);
    socket.on('error', () => socket.destroy());
    const started = this.#options.clock.now();
    let code = 101;
    try {
      if (!carriesToken(request.headers.authorization, this.#options.token)) {
        throw new ApiError(401, 'Unauthorized', 'Unauthorized');
      }
      if (!path) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
      await this.#options.routes.upgrade({ request, socket, head, url, path, signal });
    } catch (error) {
      const refusal = asApiError(error);
      code = refusal.code;
      refuseUpgrade(socket, refusal);
    }
    if (path) this.#audit({ request, url, path }, code, started);
  }

  #auditWhenDone(request: IncomingMessage, response: ServerResponse, at: { url: URL; path: ResourcePath }): void {
    const started = this.#options.clock.now();
    response.once('close', () => this.#audit({ request, ...at }, response.statusCode, started));
  }

  #audit(at: { request: IncomingMessage; url: URL; path: ResourcePath }, code: number, started: number): void {
    const { request, url, path } = at;
    const isWatch = ['true', '1'].includes(url.searchParams.get('watch') ?? '');
    this.#options.audit.record({
      verb: verbOf(request.method ?? 'GET', path, isWatch),
      group: path.group,
      resource: path.resource,
      subresource: path.subresource.join('/'),
      // As apiserver has it: a namespace lies in itself.
      namespace: path.namespace ?? (path.resource === 'namespaces' ? path.name : '') ?? '',
      code,
      durationMs: this.#options.clock.now() - started,
      userAgent: request.headers['user-agent'] ?? '',
    });
  }
}

/** Anybody may send a target that is no URL, such as `//`: like the root, it names nothing. */
function urlOf({ url = '/' }: IncomingMessage): URL {
  return new URL(URL.canParse(url, BASE) ? url : '/', BASE);
}

/** A path that cannot be decoded does not exist. */
function pathOf(url: URL): ResourcePath | undefined {
  try {
    return parseResourcePath(url.pathname);
  } catch {
    return undefined;
  }
}

/** Answers an upgrade with an ordinary HTTP error, whose body clients read from the failed handshake. */
function refuseUpgrade(socket: Duplex, refusal: ApiError): void {
  const body = JSON.stringify(refusal.toStatus());
  const head = [
    `HTTP/1.1 ${refusal.code} ${refusal.reason}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
