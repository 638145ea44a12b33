import { timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Registry } from 'prom-client';

/** Where and for whom metrics are served. */
export interface ServeMetricsOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Bearer token that scrapers must send; without one no metrics are served. */
  readonly token: string | undefined;
}

/** Serves `/metrics` (and an open `/healthz`) of a process without another HTTP interface; its port is the server's. */
export async function serveMetrics(registry: Registry, { host, port, token }: ServeMetricsOptions): Promise<Server> {
  const server = createServer(async (request, response) => {
    if (request.url === '/healthz') return void response.end('ok\n');
    if (request.url !== '/metrics' || token === undefined) return void response.writeHead(404).end();
    if (!isBearerOf(request.headers.authorization, token)) {
      return void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    }
    try {
      const text = await registry.metrics();
      response.setHeader('content-type', registry.contentType).end(text);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  server.listen(port, host);
  await once(server, 'listening');
  return server;
}

/** Whether a header `authorization` contains this token; compared in constant time. */
export function isBearerOf(header: string | undefined, token: string): boolean {
  const [a, b] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${token}`)];
  return a.length === b.length && timingSafeEqual(a, b);
}
