import { once } from 'node:events';
import { connect, createServer, type NetConnectOpts, type Socket } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';

/** A TCP proxy whose connections a test resets and slows down. */
export interface ShakyWay {
  readonly port: number;
  /** Ends every connection in the middle of its traffic. */
  reset(): void;
  /** From now on what comes waits so long (ms), in both directions. */
  slow(ms: number): void;
}

export async function openShakyWay(resources: ReleaseStack, to: NetConnectOpts): Promise<ShakyWay> {
  const sockets = new Set<Socket>();
  let delayMs = 0;
  const server = createServer((client) => {
    const service = connect(to);
    for (const [from, other] of [
      [client, service],
      [service, client],
    ] as const) {
      sockets.add(from);
      from
        .on('error', () => other.destroy())
        .on('close', () => {
          sockets.delete(from);
          other.destroy();
        });
      let before = Promise.resolve();
      from.on('data', (bytes) => {
        before = before.then(async () => {
          if (delayMs > 0) await after(delayMs);
          other.write(bytes);
        });
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const reset = () => {
    for (const socket of sockets) {
      // Redis listens at a path, where nothing can be reset: that side ends when its other side was.
      if (socket.remotePort !== undefined) socket.resetAndDestroy();
    }
  };
  resources.defer('shaky way', async () => {
    server.close();
    reset();
    await once(server, 'close');
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return {
    ...{ port: address.port, reset },
    slow: (ms) => {
      delayMs = ms;
    },
  };
}
