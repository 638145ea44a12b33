import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Upgrade } from '../../common/console/console-link.ts';

const upgrades = new WeakMap<IncomingMessage, () => Upgrade>();

/**
 * Lets requests to change protocols go through the same handlers as all others, so that authentication, limits and
 * refusals are the same. `other` is asked first.
 */
export function serveUpgrades(server: Server, app: RequestListener, other: (upgrade: Upgrade) => boolean): void {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    if (other({ request, socket, head })) return;
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(request.socket);
    response.once('finish', () => socket.end());
    upgrades.set(request, () => {
      response.detachSocket(request.socket);
      return { request, socket, head };
    });
    app(request, response);
  });
}

/** Takes the connection of a request that wants to change protocols; undefined when it does not. No answer is sent yet. */
export function takeUpgrade(request: IncomingMessage): Upgrade | undefined {
  const take = upgrades.get(request);
  upgrades.delete(request);
  return take?.();
}

/** Whether a request wants to change protocols. */
export function isUpgrade(request: IncomingMessage): boolean {
  return upgrades.has(request);
}
