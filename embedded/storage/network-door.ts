import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { errorMessage } from '../../common/errors/farm-error.ts';
import type { AddressGuard } from '../../common/fetch/address-guard.ts';
import { firstLine } from '../host/first-line.ts';

/**
 * The only way out of an import, whose process has no network: a socket in its directory. It sends `CONNECT <host> <port>`, is
 * answered `OK` or `ERROR <why>`, and then speaks with that server. Where it may go is decided here, out of reach of what
 * may have taken the process over, and closing the door leaves it without any connection.
 */
export class NetworkDoor {
  readonly #server: Server;
  readonly #guard: AddressGuard;
  readonly #sockets = new Set<Socket>();

  private constructor(guard: AddressGuard) {
    this.#guard = guard;
    this.#server = createServer({ allowHalfOpen: true }, (client) => void this.#pass(client));
  }

  static async open(path: string, guard: AddressGuard): Promise<NetworkDoor> {
    const door = new NetworkDoor(guard);
    door.#server.listen(path);
    await once(door.#server, 'listening');
    // The directory lets in whom it concerns.
    await chmod(path, 0o666);
    return door;
  }

  /** The door is closed. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #pass(client: Socket): Promise<void> {
    this.#keep(client);
    const [verb, host = '', port] = (await firstLine(client)).split(' ');
    if (verb !== 'CONNECT') return void client.destroy();
    try {
      const lookup = this.#guard.lookupFor(host, Number(port));
      const server = connect({ host, port: Number(port), lookup, allowHalfOpen: true });
      this.#keep(server);
      await once(server, 'connect');
      if (!this.#server.listening) return this.close();
      client.write('OK\n');
      client.pipe(server).pipe(client);
      server.once('close', () => client.destroySoon());
      client.once('close', () => server.destroy());
    } catch (error) {
      client.end(`ERROR ${errorMessage(error).replaceAll('\n', ' ')}\n`);
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
