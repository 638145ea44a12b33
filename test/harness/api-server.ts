import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClusterConfig, configSchema } from '../../common/config/schema.ts';

/** Answers one request, or leaves it open. */
export type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

/** A server that misbehaves on purpose where a Kubernetes API would be. */
export interface ScriptedApi {
  readonly config: ClusterConfig;
  /** `METHOD path?query` of every request so far. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/** The configuration of a cluster that a kubeconfig reaches. */
export function clusterConfig(kubeconfig: string, options: Partial<ClusterConfig> = {}): ClusterConfig {
  const { clusters } = configSchema.parse({ clusters: [{ name: 'test', kubeconfig }] });
  const [config] = clusters;
  if (!config) throw new Error('The schema dropped the cluster.');
  return { ...config, ...options };
}

/** Serves `answers` in turn, one a request; further requests get the last one. */
export async function startScriptedApi(...answers: readonly Answer[]): Promise<ScriptedApi> {
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    const answer = answers[Math.min(requests.length, answers.length - 1)];
    const url = new URL(request.url ?? '', 'http://api');
    requests.push(`${request.method} ${request.url}`);
    answer?.(request, response, url);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const directory = await mkdtemp(join(tmpdir(), 'scripted-api-'));
  const kubeconfig = join(directory, 'kubeconfig');
  await writeFile(
    kubeconfig,
    JSON.stringify({
      'current-context': 'c',
      clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: { token: 'secret' } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    }),
  );
  return {
    config: clusterConfig(kubeconfig),
    requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
}

/** Answers with JSON. */
export function json(status: number, body: unknown): Answer {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
}

/** Answers with an API error. */
export function refusal(status: number, reason: string, message = reason): Answer {
  return json(status, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code: status });
}
