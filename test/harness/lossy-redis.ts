import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';

/** A way to a Redis server on which answers can be lost, or never come. */
export interface LossyRedis {
  readonly url: string;
  /** Cuts the connection in place of the next answer: the server has done what it was asked, and the client asks again. */
  loseNextAnswer(): void;
  /** How many answers were lost. */
  readonly lost: number;
  /** Leaves the connections that there are now up, without any further answer. */
  hang(): void;
  /** How many connections there were. */
  readonly connections: number;
}

/** Stands between clients and the server at `url` until `resources` are closed. */
export async function openLossyRedis(resources: ReleaseStack, url: string): Promise<LossyRedis> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let isLosing = false;
  let lost = 0;
  let connections = 0;
  let hanging = 0;
  const server = createServer((client) => {
    connections += 1;
    const number = connections;
    const redis = connect(Number(port), hostname);
    for (const [from, to] of [
      [client, redis],
      [redis, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
      from.on('data', (bytes) => {
        if (from === redis && number <= hanging) return;
        if (from === redis && isLosing) {
          isLosing = false;
          lost += 1;
          client.destroy();
        } else to.write(bytes);
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer('lossy way to Redis', async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  // With the password of a server that has one.
  const way = new URL(url);
  way.host = `127.0.0.1:${address.port}`;
  return {
    url: way.href,
    loseNextAnswer: () => {
      isLosing = true;
    },
    get lost() {
      return lost;
    },
    hang: () => {
      hanging = connections;
    },
    get connections() {
      return connections;
    },
  };
}
