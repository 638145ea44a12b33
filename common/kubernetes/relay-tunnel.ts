import type { Duplex } from 'node:stream';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import type { ClusterClient } from './cluster-client.ts';
import { openPortForward } from './port-forward.ts';

/** Where a relay listens for the farm, on the loopback of its pod only. */
export const RELAY_CONTROL_PORT = 7070;

/** A guest behind a relay. */
export interface GuestAddress {
  readonly host: string;
  readonly port: number;
}

const HANDSHAKE_MS = 20_000;
const MAX_HEAD_BYTES = 16 * 1024;

/**
 * A TCP connection to a guest, through the relay of its VPC. The caller destroys it.
 * @throws ConnectionLost with the relay's reason while the guest does not answer; ClusterUnavailable or ApiError when
 *   the relay itself cannot be reached.
 */
export async function connectThroughRelay(
  cluster: ClusterClient,
  relayPod: string,
  { host, port, signal }: GuestAddress & { readonly signal?: AbortSignal },
): Promise<Duplex> {
  const stream = await openRelay(cluster, relayPod, signal);
  const settled = new AbortController();
  const late = new Error(`the relay did not answer within ${HANDSHAKE_MS / 1000} s`);
  // Destroying the stream ends everything that waits for it.
  const onAbort = () => stream.destroy(late);
  signal?.addEventListener('abort', onAbort, { once: true });
  cluster.clock.after(HANDSHAKE_MS, settled.signal).then(onAbort, () => undefined);
  try {
    stream.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
    const { head, rest } = await readHead(stream);
    if (!/^HTTP\/1\.1 200 /.test(head)) throw await refused(stream, { head, rest, target: `${host}:${port}` });
    if (rest.length > 0) stream.unshift(rest);
    return stream;
  } catch (error) {
    stream.destroy();
    if (signal?.aborted) throw signal.reason;
    if (error instanceof FarmError) throw error;
    throw new FarmError('ConnectionLost', `Reaching ${host}:${port}: ${errorMessage(error)}`, { cause: error });
  } finally {
    settled.abort();
    signal?.removeEventListener('abort', onAbort);
  }
}

/** A connection to the control port of a relay (workers/relay/control-server.ts). */
export function openRelay(cluster: ClusterClient, pod: string, signal: AbortSignal | undefined): Promise<Duplex> {
  return openPortForward(cluster, { pod, port: RELAY_CONTROL_PORT, ...(signal ? { signal } : {}) });
}

/** Reads up to the empty line; bytes after it are pushed back. */
async function readHead(stream: Duplex): Promise<{ head: string; rest: Buffer }> {
  let received: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk === null) {
      await readable(stream);
      continue;
    }
    received = Buffer.concat([received, chunk]);
    const end = received.indexOf('\r\n\r\n');
    if (end >= 0) return { head: received.subarray(0, end).toString(), rest: received.subarray(end + 4) };
    if (received.length > MAX_HEAD_BYTES)
      throw new Error(`the head of the relay's answer exceeds ${MAX_HEAD_BYTES} bytes`);
  }
}

/** Resolves when there is something to read. @throws when the stream ended, failed or was closed instead */
function readable(stream: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = new Error('the relay closed the connection');
    if (stream.destroyed || stream.readableEnded) return reject(stream.errored ?? closed);
    const settle = (error?: Error) => {
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', settle);
      if (error) reject(error);
      else resolve();
    };
    const onReadable = () => settle();
    const onEnd = () => settle(stream.errored ?? closed);
    stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', settle);
  });
}

interface Refusal {
  readonly head: string;
  readonly rest: Buffer;
  readonly target: string;
}

/** The reason follows the head until the relay closes. */
async function refused(stream: Duplex, { head, rest, target }: Refusal): Promise<FarmError> {
  const parts = [rest];
  for await (const chunk of stream) parts.push(chunk as Buffer);
  const reason = Buffer.concat(parts).toString() || head;
  return new FarmError('ConnectionLost', `Reaching ${target}: ${reason}`, {
    details: { status: Number(head.split(' ')[1]) },
  });
}
