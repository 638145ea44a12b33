import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';

/** Sends a DNS message on and gives the answer. @throws when the server does not answer in time */
export type Ask = (message: Buffer, server: string, timeoutMs: number) => Promise<Buffer>;

const DNS_PORT = 53;

/** `host[:port]` */
function endpoint(server: string): { host: string; port: number } {
  const [host = '', port] = server.split(':');
  return { host, port: Number(port ?? DNS_PORT) };
}

/** One datagram there, the one with the same id back; each query from a port of its own. */
export const askByUdp: Ask = async (message, server, timeoutMs) => {
  const { host, port } = endpoint(server);
  const socket = createSocket('udp4');
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    socket.connect(port, host);
    await once(socket, 'connect', { signal });
    socket.send(message);
    for (;;) {
      const [answer]: Buffer[] = await once(socket, 'message', { signal });
      if (answer && answer.length > 12 && answer.readUInt16BE(0) === message.readUInt16BE(0)) return answer;
    }
  } finally {
    socket.close();
  }
};

/** One connection per query, messages with their length before them (RFC 1035 section 4.2.2). */
export const askByTcp: Ask = async (message, server, timeoutMs) => {
  const socket = connect({ ...endpoint(server), noDelay: true });
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`${server} does not answer`)));
  try {
    socket.write(framed(message));
    for await (const answer of unframed(socket)) return answer;
    throw new Error(`${server} closed without an answer`);
  } finally {
    socket.destroy();
  }
};

/** A message with its length before it. */
export function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** The messages of a TCP connection. */
export async function* unframed(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      yield rest.subarray(2, end);
      rest = rest.subarray(end);
    }
  }
}
