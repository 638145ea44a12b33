import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { KubeConfig } from '@kubernetes/client-node';

/** One request of a client and what came of it, in the order in which the answers ended. */
export interface Recorded {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly userAgent: string;
  readonly contentType: string;
  readonly body: string;
  readonly code: number;
  /** Parsed; undefined for streams and answers that are not JSON. */
  readonly answer: Record<string, unknown> | undefined;
  /** The request asked for another protocol (a WebSocket). */
  readonly upgraded: boolean;
}

export interface RecordingProxy {
  /** A kubeconfig that leads through the proxy. */
  readonly kubeconfig: object;
  readonly records: readonly Recorded[];
  close(): Promise<void>;
}

/** Stands between a farm and the API server of a kubeconfig, and writes down what passes. */
export async function startRecordingProxy(kubeconfig: string): Promise<RecordingProxy> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const [cluster, user] = [config.getCurrentCluster(), config.getCurrentUser()];
  const target = new URL(cluster?.server ?? '');
  const ca = Buffer.from(cluster?.caData ?? '', 'base64');
  const agent = new https.Agent({ keepAlive: true, ca });
  // Clients keep their token to themselves where there is no TLS.
  const authorization = `Bearer ${user?.token}`;
  const records: Recorded[] = [];
  const forward = (request: IncomingMessage, reuse = true) =>
    https.request({
      ...{ host: target.hostname, port: target.port, ca, agent: reuse ? agent : false },
      ...{
        method: request.method,
        path: request.url,
        headers: { ...request.headers, host: target.host, authorization },
      },
    });

  function pass(request: IncomingMessage, response: ServerResponse): void {
    const body: Buffer[] = [];
    const far = forward(request);
    request.on('data', (chunk: Buffer) => body.push(chunk)).pipe(far);
    response.on('close', () => far.destroy());
    far.on('error', () => response.destroy());
    far.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      const chunks: Buffer[] = [];
      const isStream = /[?&]watch=|[?&]follow=/.test(request.url ?? '');
      const write = () => records.push(recordOf(request, body, { code: answer.statusCode ?? 0, chunks }));
      if (isStream) write();
      else answer.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', write);
      answer.pipe(response);
    });
  }

  function upgrade(request: IncomingMessage, near: Duplex, head: Buffer): void {
    const far = forward(request, false);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    far.on('upgrade', (answer, socket, rest) => {
      records.push({ ...recordOf(request, [], { code: 101, chunks: [] }), upgraded: true });
      near.write(headOf(answer));
      near.write(rest);
      socket.write(head);
      socket.pipe(near).pipe(socket);
      socket.on('error', () => near.destroy());
      near.on('close', () => socket.destroy());
    });
    far.on('response', (answer) => {
      records.push({ ...recordOf(request, [], { code: answer.statusCode ?? 0, chunks: [] }), upgraded: true });
      near.write(headOf(answer));
      answer.pipe(near);
    });
    far.end();
  }

  const server = http.createServer(pass);
  server.on('upgrade', upgrade);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    records,
    kubeconfig: {
      'current-context': 'c',
      clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    },
    close: async () => {
      server.closeAllConnections();
      agent.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function recordOf(
  request: IncomingMessage,
  body: readonly Buffer[],
  { code, chunks }: { code: number; chunks: readonly Buffer[] },
): Recorded {
  const text = Buffer.concat(chunks).toString();
  return {
    ...{ method: request.method ?? '', path: request.url ?? '', userAgent: request.headers['user-agent'] ?? '' },
    ...{ contentType: request.headers['content-type'] ?? '', body: Buffer.concat(body).toString() },
    ...{ code, answer: text.startsWith('{') ? JSON.parse(text) : undefined, upgraded: false },
  };
}

function headOf({ statusCode, statusMessage, rawHeaders }: IncomingMessage): string {
  const lines: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return [`HTTP/1.1 ${statusCode} ${statusMessage}`, ...lines, '', ''].join('\r\n');
}
