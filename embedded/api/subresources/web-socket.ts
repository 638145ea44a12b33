import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { badRequest } from '../api-error.ts';
import type { UpgradeRequest } from '../http/api-server.ts';

/** More than this many bytes waiting for a client stop reading from the machine until the client has caught up. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Which of the offered subprotocols a server takes; undefined takes none, and the handshake continues without. */
export type ProtocolChoice = (offered: ReadonlySet<string>) => string | undefined;

/** Completes a WebSocket handshake. No compression, no limit on message size beyond memory's sake (64 MiB). */
export function acceptWebSocket({ request, socket, head }: UpgradeRequest, choose: ProtocolChoice): Promise<WebSocket> {
  if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
    throw badRequest(`unable to upgrade: "${request.headers.upgrade}" is not served, only WebSocket`);
  }
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
    handleProtocols: (offered) => choose(offered) ?? false,
  });
  return new Promise((resolve) => server.handleUpgrade(request, socket, head, resolve));
}

/** Bytes of a client's message. */
export function bytesOf(message: unknown): Buffer {
  if (Buffer.isBuffer(message)) return message;
  if (Array.isArray(message)) return Buffer.concat(message);
  return Buffer.from(message as ArrayBuffer);
}

/** Writes to a stream; the client is not read from until the stream has room again. */
export function writeFromClient(client: WebSocket, stream: Duplex, bytes: Buffer): void {
  if (stream.writable && !stream.write(bytes)) {
    client.pause();
    stream.once('drain', () => client.resume());
  }
}

/** Sends to the client; the stream that it came from is not read from until the client has room again. */
export function sendToClient(client: WebSocket, source: Duplex, bytes: Buffer): void {
  if (client.readyState !== WebSocket.OPEN) return;
  client.send(bytes, { binary: true }, () => {
    if (source.isPaused() && client.bufferedAmount <= HIGH_WATER_BYTES) source.resume();
  });
  if (client.bufferedAmount > HIGH_WATER_BYTES) source.pause();
}

/**
 * Joins a client with a byte stream, as KubeVirt's `plain.kubevirt.io` does: binary messages are bytes, text messages
 * are ignored, and the end is the end of the TCP connection, without a close frame.
 */
export function joinPlain(client: WebSocket, { socket, signal }: UpgradeRequest, stream: Duplex): void {
  const end = () => {
    socket.end();
    stream.destroy();
  };
  client.on('message', (message, isBinary) => {
    if (isBinary) writeFromClient(client, stream, bytesOf(message));
  });
  client.on('error', end);
  client.on('close', end);
  stream.on('data', (chunk: Buffer) => sendToClient(client, stream, chunk));
  stream.on('end', end);
  stream.on('error', end);
  stream.on('close', end);
  signal.addEventListener('abort', end, { once: true });
}
