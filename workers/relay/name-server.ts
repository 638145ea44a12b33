import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { type DecodedPacket, decode, encode } from 'dns-packet';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { type Ask, askByTcp, askByUdp, framed, unframed } from './name-forwarder.ts';
import { answerFromRecords, type KnownNames, RCODE, replyTo } from './name-records.ts';

export interface NameServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly names: KnownNames;
  /** Servers for all other names, in order. */
  readonly upstreams: readonly string[];
  readonly logger: Logger;
}

const UPSTREAM_MS = 2000;
const IDLE_MS = 10_000;
/** Forwarded queries at once; further queries are refused for the moment. */
const MAX_FORWARDED = 256;
/** TCP connections at once; further ones are closed. */
const MAX_CONNECTIONS = 256;

/**
 * The resolver of a module's network, over UDP and TCP: knows the module's machines and forwards the rest. Without
 * upstreams every other name does not exist, so that guests of a closed network do not wait. Gives its port.
 */
export async function startNameServer(options: NameServerOptions, resources: ReleaseStack): Promise<number> {
  const { host, logger } = options;
  const answerer = new Answerer(options);
  const tcp = createServer({ allowHalfOpen: true }, (socket) => {
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    void serveConnection(socket, answerer);
  });
  tcp.maxConnections = MAX_CONNECTIONS;
  tcp.listen(options.port, host);
  await once(tcp, 'listening');
  resources.defer('DNS over TCP', () => void tcp.close());
  const address = tcp.address();
  const port = typeof address === 'object' && address ? address.port : options.port;
  const udp = resources.use('DNS over UDP', createSocket('udp4'), (socket) => void socket.close());
  udp.on('error', (error) => logger.warn({ err: error }, 'A datagram could not be answered'));
  udp.on('message', (message, sender) => {
    // A guest writes what it likes into a packet: no answer can be sent to port 0, for one.
    serveDatagram({ udp, message, sender }, answerer).catch((error: unknown) =>
      logger.debug({ err: error, guest: sender.address }, 'A datagram could not be answered'),
    );
  });
  udp.bind(port, host);
  await once(udp, 'listening');
  return port;
}

async function serveDatagram(
  { udp, message, sender }: { udp: UdpSocket; message: Buffer; sender: { address: string; port: number } },
  answerer: Answerer,
): Promise<void> {
  const answer = await answerer.answer(message, askByUdp);
  if (answer) udp.send(answer, sender.port, sender.address, () => undefined);
}

/** A guest that reads no answers gets no more of its queries read. */
async function serveConnection(socket: Socket, answerer: Answerer): Promise<void> {
  const answers = async function* () {
    // The iterator of a socket would destroy it at the guest's end, with our answer unsent.
    for await (const message of unframed(socket.iterator({ destroyOnReturn: false }))) {
      const answer = await answerer.answer(message, askByTcp);
      if (answer) yield framed(answer);
    }
  };
  await pipeline(answers, socket).catch(() => socket.destroy());
}

class Answerer {
  readonly #options: NameServerOptions;
  #forwarded = 0;

  constructor(options: NameServerOptions) {
    this.#options = options;
  }

  /** Undefined for data that is not a query: it is not answered. */
  async answer(message: Buffer, ask: Ask): Promise<Uint8Array | undefined> {
    const query = readQuery(message);
    if (!query) return undefined;
    if (query.questions?.length !== 1) return encode(replyTo(query, RCODE.formatError));
    const known = answerFromRecords(query, this.#options.names);
    if (known) return encode(known);
    if (this.#options.upstreams.length === 0) return encode(replyTo(query, RCODE.nameError));
    return (await this.#forward(message, ask)) ?? encode(replyTo(query, RCODE.serverFailure));
  }

  async #forward(message: Buffer, ask: Ask): Promise<Buffer | undefined> {
    if (this.#forwarded >= MAX_FORWARDED) return undefined;
    this.#forwarded += 1;
    try {
      for (const server of this.#options.upstreams) {
        try {
          return await ask(message, server, UPSTREAM_MS);
        } catch (error) {
          this.#options.logger.debug({ err: error, server }, 'A name server did not answer');
        }
      }
      return undefined;
    } finally {
      this.#forwarded -= 1;
    }
  }
}

function readQuery(message: Buffer): DecodedPacket | undefined {
  try {
    const packet = decode(message);
    return packet.type === 'query' ? packet : undefined;
  } catch {
    return undefined;
  }
}
