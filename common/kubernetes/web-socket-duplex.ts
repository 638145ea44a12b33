import { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import { answerError } from './api-error.ts';
import type { ClusterClient } from './cluster-client.ts';
import { readBounded } from './transport.ts';

/** How the bytes of a stream are carried in WebSocket messages. */
export interface FrameCodec {
  /** Bytes of a message; undefined for a message without any. @throws what ends the stream with an error */
  decode(message: Buffer): Buffer | undefined;
  encode(bytes: Buffer): Buffer;
}

/** Path to open, below the API server's URL. */
export interface StreamRequest {
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Subprotocols, best first; the server must choose one. */
  readonly protocols: readonly string[];
  readonly codec: FrameCodec;
  /** Maps a refused handshake that is not a fault of the cluster. */
  readonly refusal?: (error: unknown) => unknown;
  readonly signal?: AbortSignal;
}

const HANDSHAKE_MS = 30_000;
const PING_MS = 20_000;
/** Unanswered pings in a row after which the connection counts as dead. */
const MAX_SILENT_PINGS = 3;

/**
 * Opens a byte stream of the API. It ends (`end`, `close`) when the socket closes for any reason: KubeVirt cuts the
 * connection without a close frame in the normal case too, so consult the VMI's phase. Both directions wait for the
 * slower side.
 * @throws ApiError or ClusterUnavailable with the server's text when the handshake is refused.
 */
export async function openWebSocketStream(cluster: ClusterClient, request: StreamRequest): Promise<Duplex> {
  const { transport } = cluster;
  const credentials = await transport.credentials({ ownConnection: true });
  request.signal?.throwIfAborted();
  const url = transport.url(request.path, request.query, 'ws');
  const socket = new WebSocket(url, [...request.protocols], {
    ...credentials,
    headers: { ...(credentials.headers as Record<string, string>) },
    handshakeTimeout: HANDSHAKE_MS,
    perMessageDeflate: false,
  });
  const stream = new WebSocketDuplex(socket, request.codec);
  try {
    await cluster.observed(() => opened(socket, request).catch(rethrow(request.refusal)));
  } catch (error) {
    socket.terminate();
    stream.destroy();
    throw error;
  }
  void keepAlive(cluster, socket, stream);
  return stream;
}

function rethrow(meaning: StreamRequest['refusal'] = (error) => error): (error: unknown) => never {
  return (error) => {
    throw meaning(error);
  };
}

function opened(socket: WebSocket, { path, signal }: StreamRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      signal?.removeEventListener('abort', onAbort);
      reject(error);
    };
    const onAbort = () => fail(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('open', () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    socket.on('error', (cause) =>
      fail(new FarmError('ClusterUnavailable', `${path}: ${errorMessage(cause)}`, { cause })),
    );
    socket.on('unexpected-response', (_request, response) => {
      void readBounded(response).then((body) =>
        fail(answerError({ asked: `GET ${path}`, status: response.statusCode ?? 0, body })),
      );
    });
  });
}

/** Pings, so that proxies do not cut a silent stream, and ends a stream whose peer has vanished. */
async function keepAlive(cluster: ClusterClient, socket: WebSocket, stream: Duplex): Promise<void> {
  const closed = new AbortController();
  let silentPings = 0;
  socket.on('pong', () => {
    silentPings = 0;
  });
  socket.on('message', () => {
    silentPings = 0;
  });
  stream.once('close', () => closed.abort());
  while (!closed.signal.aborted) {
    try {
      await cluster.clock.after(PING_MS, closed.signal);
    } catch {
      return;
    }
    if (socket.readyState !== WebSocket.OPEN) return;
    // While the reader holds us back we read no pongs either.
    silentPings = socket.isPaused ? 0 : silentPings + 1;
    if (silentPings > MAX_SILENT_PINGS) {
      stream.destroy(new FarmError('ConnectionLost', `The peer of ${socket.url} does not answer any more`));
      return;
    }
    socket.ping();
  }
}

class WebSocketDuplex extends Duplex {
  readonly #socket: WebSocket;
  readonly #codec: FrameCodec;

  constructor(socket: WebSocket, codec: FrameCodec) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#codec = codec;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (message, isBinary) => {
      if (isBinary) this.#receive(message as Buffer);
    });
    socket.on('close', () => this.#finish());
    // Before the handshake `opened` reports it; afterwards a close always follows.
    socket.on('error', () => undefined);
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#socket.readyState !== WebSocket.OPEN) {
      done(new FarmError('ConnectionLost', 'The stream was closed by its peer'));
      return;
    }
    // The callback comes when the bytes have left for the kernel: that is what slows a fast writer down.
    this.#socket.send(this.#codec.encode(chunk), { binary: true }, (error) => done(error));
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // A paused socket never reads the peer's close; one that was never opened cannot be resumed.
    if (this.#socket.isPaused) this.#socket.resume();
    this.#socket.terminate();
    done(error);
  }

  #receive(message: Buffer): void {
    if (this.readableEnded || this.destroyed) return;
    try {
      const bytes = this.#codec.decode(message);
      if (bytes && bytes.length > 0 && !this.push(bytes)) this.#socket.pause();
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The peer is gone: received data can still be read, writes fail. */
  #finish(): void {
    if (this.destroyed) return;
    this.push(null);
    this.end();
  }
}
