import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { openPortForward } from '../../common/kubernetes/port-forward.ts';
import { RELAY_PORTS } from './relay-pod.ts';

/** A guest behind a relay. */
export interface GuestAddress {
  readonly host: string;
  readonly port: number;
}

/** A file for guests. */
export interface RelayFile {
  readonly name: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly content: () => Readable;
}

const HANDSHAKE_MS = 20_000;
/** Between two looks whether a relay answers that runs: its server listens a moment later. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;
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
  const stream = await openControl(cluster, relayPod, signal);
  const settled = new AbortController();
  const late = new Error(`the relay did not answer within ${HANDSHAKE_MS / 1000} s`);
  // Destroying the stream ends whatever waits for it.
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

/**
 * Waits until a relay answers: its pod has no probes, because kubelet cannot reach into the VPC.
 * @throws DeadlineExceeded with the last reason after `deadlineMs`
 */
export async function waitForRelay(
  cluster: ClusterClient,
  relayPod: string,
  { signal, deadlineMs }: { readonly signal: AbortSignal; readonly deadlineMs: number },
): Promise<void> {
  const startedAt = cluster.clock.now();
  for (let failures = 1; ; failures += 1) {
    try {
      await exchange(await openControl(cluster, relayPod, signal), { method: 'GET', path: '/healthz' });
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (cluster.clock.now() - startedAt > deadlineMs) {
        const message = `The relay "${relayPod}" does not answer: ${errorMessage(error)}`;
        throw new FarmError('DeadlineExceeded', message, { cause: error });
      }
      await cluster.clock.after(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * failures), signal);
    }
  }
}

/** Puts a file on the relay unless it is there already with the same content. Throws as `connectThroughRelay`. */
export async function putFile(
  cluster: ClusterClient,
  relayPod: string,
  { name, sha256, sizeBytes, content, signal }: RelayFile & { readonly signal?: AbortSignal },
): Promise<void> {
  const listed = await exchange(await openControl(cluster, relayPod, signal), { method: 'GET', path: '/files' });
  const present = JSON.parse(listed) as Record<string, string>;
  if (present[name] === sha256) return;
  await exchange(await openControl(cluster, relayPod, signal), {
    method: 'PUT',
    path: `/files/${encodeURIComponent(name)}?sha256=${sha256}`,
    headers: { 'content-length': sizeBytes },
    content: content(),
  });
}

/** Tells a relay where a machine of its module is now. Throws as `connectThroughRelay`. */
export async function putName(
  cluster: ClusterClient,
  relayPod: string,
  { name, address, signal }: { readonly name: string; readonly address: string; readonly signal?: AbortSignal },
): Promise<void> {
  const path = `/names/${encodeURIComponent(name)}?address=${address}`;
  await exchange(await openControl(cluster, relayPod, signal), { method: 'PUT', path });
}

function openControl(cluster: ClusterClient, pod: string, signal: AbortSignal | undefined): Promise<Duplex> {
  return openPortForward(cluster, { pod, port: RELAY_PORTS.control, ...(signal ? { signal } : {}) });
}

/** Reads up to the empty line; what comes after it is handed back. */
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
    if (received.length > MAX_HEAD_BYTES) throw new Error('the relay sent no answer that ends');
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

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly content?: Readable;
}

/** One HTTP request over a stream of its own. */
async function exchange(stream: Duplex, { method, path, headers = {}, content }: Exchange): Promise<string> {
  try {
    const request = http.request({
      method,
      path,
      headers: { ...headers, host: 'relay', connection: 'close' },
      createConnection: () => stream,
    });
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    // A refusal may come while the content is still being sent: the answer decides, not the broken pipe.
    const sent = content ? pipeline(content, request) : Promise.resolve(request.end());
    sent.catch(() => undefined);
    const [response] = await answered;
    let text = '';
    for await (const chunk of response) text += String(chunk);
    if ((response.statusCode ?? 0) < 300) return text;
    throw new Error(`${response.statusCode}: ${text}`);
  } catch (error) {
    throw new FarmError('ConnectionLost', `${method} ${path} at the relay: ${errorMessage(error)}`, { cause: error });
  } finally {
    stream.destroy();
  }
}
