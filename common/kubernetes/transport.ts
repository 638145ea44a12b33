import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import { allowManyListeners } from '../lifecycle/many-listeners.ts';
import { answerError } from './api-error.ts';

/** One request to a Kubernetes API. */
export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Absolute path below the server's URL, already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** @defaultValue `application/json` */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** Longest silence on the connection. @defaultValue 30 s */
  readonly idleMs?: number;
}

const DEFAULT_IDLE_MS = 30_000;
/** Error bodies beyond this are cut. */
const MAX_ERROR_BYTES = 64 * 1024;

/** HTTP to one API server with the credentials of a KubeConfig. It never tries again; see `ClusterClient`. */
export class ApiTransport {
  /** Called for each warning of the server (RFC 9111 `Warning` headers, code 299). */
  onWarning: (text: string) => void = () => undefined;
  readonly #kubeConfig: KubeConfig;
  readonly #server: URL;
  readonly #direct: http.Agent | undefined;
  readonly #userAgent: string | undefined;

  /** `userAgent` identifies the process to the server. */
  constructor(kubeConfig: KubeConfig, userAgent?: string) {
    const cluster = kubeConfig.getCurrentCluster();
    if (!cluster) throw new FarmError('InvalidConfig', 'The kubeconfig has no current context with a cluster.');
    this.#kubeConfig = kubeConfig;
    this.#server = new URL(cluster.server);
    this.#userAgent = userAgent;
    // client-node's agents open a connection per request; only through a proxy they are needed.
    const agents = this.#server.protocol === 'http:' ? http.Agent : https.Agent;
    this.#direct = cluster.proxyUrl ? undefined : new agents({ keepAlive: true });
  }

  /** Closes idle connections; running requests continue. */
  close(): void {
    this.#direct?.destroy();
  }

  /** Where a path lives; `protocol` replaces `http` by `ws`. */
  url(path: string, query: ApiRequest['query'] = {}, protocol: 'http' | 'ws' = 'http'): URL {
    const base = this.#server.pathname.replace(/\/$/, '');
    const url = new URL(`${base}${path}`, this.#server);
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    if (protocol === 'ws') url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return url;
  }

  /**
   * TLS material, authorization and identity for a request or WebSocket, fresh (tokens rotate). With `ownConnection` the
   * agent of the pool is left out. @throws ClusterUnavailable
   */
  async credentials({ ownConnection = false } = {}): Promise<https.RequestOptions> {
    const options: https.RequestOptions = {};
    try {
      await this.#kubeConfig.applyToHTTPSOptions(options);
    } catch (cause) {
      const message = `No credentials for ${this.#server.host}: ${errorMessage(cause)}`;
      throw new FarmError('ClusterUnavailable', message, { cause });
    }
    if (this.#userAgent !== undefined) options.headers = { ...options.headers, 'user-agent': this.#userAgent };
    if (this.#direct && ownConnection) delete options.agent;
    else if (this.#direct) options.agent = this.#direct;
    return options;
  }

  /**
   * The answer once its head is there; its body is the caller's to read or destroy.
   * @throws ApiError, ClusterUnavailable or ClusterUnfit when it is not 2xx; ClusterUnavailable without an answer.
   */
  async send(request: ApiRequest): Promise<IncomingMessage> {
    const response = await this.#exchange(request);
    const status = response.statusCode ?? 0;
    for (const text of warningsOf(response.headers['warning'])) this.onWarning(text);
    if (status >= 200 && status < 300) return response;
    const retryAfter = Number(response.headers['retry-after']);
    throw answerError({
      asked: `${request.method} ${request.path}`,
      status,
      body: await readBounded(response),
      ...(retryAfter > 0 ? { retryAfterMs: retryAfter * 1000 } : {}),
    });
  }

  /** The whole body of a 2xx answer. Throws as `send`. */
  async fetch(request: ApiRequest): Promise<Buffer> {
    const response = await this.send(request);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of response) chunks.push(chunk as Buffer);
    } catch (cause) {
      throw this.#broken(request, cause);
    }
    return Buffer.concat(chunks);
  }

  async #exchange(request: ApiRequest): Promise<IncomingMessage> {
    const { method, path, query, body, signal, idleMs = DEFAULT_IDLE_MS } = request;
    const options = await this.credentials();
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers: http.OutgoingHttpHeaders = {
      ...(options.headers as http.OutgoingHttpHeaders),
      accept: 'application/json, */*',
    };
    if (payload) {
      headers['content-type'] = request.contentType ?? 'application/json';
      headers['content-length'] = payload.length;
    }
    if (signal) allowManyListeners(signal);
    const url = this.url(path, query);
    const open = url.protocol === 'http:' ? http.request : https.request;
    return new Promise((resolve, reject) => {
      const outgoing = open(url, { ...options, method, headers });
      let incoming: IncomingMessage | undefined;
      // As an option the signal would be bound to the pooled socket too, and end it under a later request.
      const onAbort = () => (incoming ?? outgoing).destroy(new Error('aborted'));
      signal?.addEventListener('abort', onAbort, { once: true });
      outgoing.on('close', () => signal?.removeEventListener('abort', onAbort));
      if (signal?.aborted) onAbort();
      outgoing.setTimeout(idleMs, () => {
        const message = `${method} ${path}: no byte for ${idleMs} ms`;
        const silent = new FarmError('ClusterUnavailable', message, { details: { silentMs: idleMs } });
        // Destroying the request alone would replace the reason by a bare reset.
        (incoming ?? outgoing).destroy(silent);
      });
      outgoing.on('response', (response) => {
        incoming = response;
        // Its reader sees the error; there may be not a reader when an abort comes.
        response.on('error', () => undefined);
        resolve(response);
      });
      outgoing.on('error', (cause) => reject(this.#broken(request, cause)));
      outgoing.end(payload);
    });
  }

  /** Maps a broken connection: an abort is kept, any other cause is an unreachable cluster. */
  #broken({ method, path, signal }: ApiRequest, cause: unknown): unknown {
    if (signal?.aborted) return signal.reason;
    if (cause instanceof FarmError) return cause;
    const message = `${method} ${path} on ${this.#server.host}: ${errorMessage(cause)}`;
    return new FarmError('ClusterUnavailable', message, { cause });
  }
}

/** The texts of `299 - "a", 299 - "b"`. */
function warningsOf(header: string | undefined): string[] {
  return [...(header ?? '').matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) =>
    text.replaceAll(/\\(.)/g, '$1'),
  );
}

/** Whether a connection was closed because no data arrived. */
export function isSilence(error: unknown): boolean {
  return error instanceof FarmError && error.details['silentMs'] !== undefined;
}

/** The text of an error answer, cut; an answer that breaks off is as long as it came. */
export async function readBounded(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length > MAX_ERROR_BYTES) break;
    }
  } catch {
    return text;
  }
  return text;
}
