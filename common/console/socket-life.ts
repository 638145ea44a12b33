import { WebSocket } from 'ws';
import type { Clock } from '../clock/clock.ts';

const PING_MS = 20_000;
/** Unanswered pings in a row after which the peer counts as gone. */
const MAX_SILENT_PINGS = 3;

/** Pings while a socket is open, so that proxies do not cut it when it is silent, and ends it when the peer has vanished. */
export async function keepSocketAlive(socket: WebSocket, clock: Clock): Promise<void> {
  const closed = new AbortController();
  socket.once('close', () => closed.abort());
  let silentPings = 0;
  for (const sign of ['pong', 'message']) {
    socket.on(sign, () => {
      silentPings = 0;
    });
  }
  while (socket.readyState === WebSocket.OPEN) {
    await clock.after(PING_MS, closed.signal).catch(() => undefined);
    if (socket.readyState !== WebSocket.OPEN) return;
    // While its reader holds us back we read no pongs either.
    silentPings = socket.isPaused ? 0 : silentPings + 1;
    if (silentPings > MAX_SILENT_PINGS) return socket.terminate();
    socket.ping();
  }
}
