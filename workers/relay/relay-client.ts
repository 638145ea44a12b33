import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { openRelay } from '../../common/kubernetes/relay-tunnel.ts';

/** A file for guests. */
export interface RelayFile {
  readonly name: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly content: () => Readable;
}

/** Between two looks whether a relay answers that runs: its server listens a moment later. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

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
      await exchange(await openRelay(cluster, relayPod, signal), { method: 'GET', path: '/healthz' });
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
  const listed = await exchange(await openRelay(cluster, relayPod, signal), { method: 'GET', path: '/files' });
  const present = JSON.parse(listed) as Record<string, string>;
  if (present[name] === sha256) return;
  await exchange(await openRelay(cluster, relayPod, signal), {
    method: 'PUT',
    path: `/files/${encodeURIComponent(name)}?sha256=${sha256}`,
    headers: { 'content-length': sizeBytes },
    content: content(),
  });
}

/** Sends a relay the present address of a machine of its module. Throws as `connectThroughRelay`. */
export async function putName(
  cluster: ClusterClient,
  relayPod: string,
  { name, address, signal }: { readonly name: string; readonly address: string; readonly signal?: AbortSignal },
): Promise<void> {
  const path = `/names/${encodeURIComponent(name)}?address=${address}`;
  await exchange(await openRelay(cluster, relayPod, signal), { method: 'PUT', path });
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
