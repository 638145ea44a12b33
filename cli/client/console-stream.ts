import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocket } from 'ws';
import type { FarmAddress } from './connection.ts';
import { refusal, unreachable } from './refusal.ts';

const HANDSHAKE_MS = 15_000;

/** Opens a console of the farm: its bytes as they are. @throws FarmUnreachable, or the error of the farm */
export async function openConsole({ url, token, authorities }: FarmAddress, path: string): Promise<Duplex> {
  const socket = new WebSocket(`${url}${path}`.replace(/^http/, 'ws'), 'binary', {
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: HANDSHAKE_MS,
    perMessageDeflate: false,
    ...(authorities ? { ca: [...authorities] } : {}),
  });
  // Before it is open: the farm speaks first, and at once. Its reader sees its errors.
  const stream = createWebSocketStream(socket);
  stream.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.on('unexpected-response', async (_request, response) => {
      const body = await response
        .setEncoding('utf8')
        .toArray()
        .catch(() => []);
      reject(refusal(url, { status: response.statusCode ?? 0, version: null }, body.join('')));
    });
    socket.on('error', (cause) => reject(unreachable(url, cause)));
  });
  return stream;
}
