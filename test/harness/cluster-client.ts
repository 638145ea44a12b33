import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, request } from 'undici';
import { type Resource, resourcePath } from '../../common/kubernetes/resources.ts';

const run = promisify(execFile);

/** What a request was answered with; `body` is the parsed JSON, or the text when it is none. */
export interface Answer {
  readonly code: number;
  readonly body: Record<string, unknown>;
  /** Its `Warning` headers, joined. */
  readonly warnings: string;
}

/** A request in full. */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Speaks to a cluster by its kubeconfig (a token or a client certificate), without the defaults of any client. */
export class ClusterClient {
  readonly kubeconfig: string;
  readonly config = new KubeConfig();
  readonly #agent: Agent;
  readonly #url: string;
  readonly #authorization: Readonly<Record<string, string>>;

  constructor(kubeconfig: string) {
    this.kubeconfig = kubeconfig;
    this.config.loadFromFile(kubeconfig);
    const cluster = this.config.getCurrentCluster();
    this.#url = cluster?.server ?? '';
    const token = this.config.getCurrentUser()?.token;
    this.#authorization = token ? { authorization: `Bearer ${token}` } : {};
    this.#agent = new Agent({ connect: tlsOf(this.config) });
  }

  /** One request without headers of its own. */
  async send(method: string, path: string, body?: unknown): Promise<Answer> {
    return await this.exchange({ method, path, body });
  }

  /** One request; a body that is not a string is sent as JSON. */
  async exchange({ method, path, body, headers }: Request): Promise<Answer> {
    const response = await request(`${this.#url}${path}`, {
      method: method as 'GET',
      dispatcher: this.#agent,
      headers: { ...this.#authorization, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.body.text();
    const warnings = [response.headers['warning'] ?? []].flat().join('\n');
    return { code: response.statusCode, body: text.startsWith('{') ? JSON.parse(text) : { text }, warnings };
  }

  /** Creates an object; it reports what it is, as custom kinds must. */
  async create(resource: Resource, namespace: string, object: object, query = ''): Promise<Answer> {
    const { apiVersion, kind } = resource;
    const path = resourcePath(resource, namespace);
    return await this.send('POST', query === '' ? path : `${path}?${query}`, { apiVersion, kind, ...object });
  }

  /** A patch of the given type: `json-patch+json`, `merge-patch+json`, ... */
  async patch(path: string, type: string, patch: unknown): Promise<Answer> {
    return await this.exchange({
      method: 'PATCH',
      path,
      body: patch,
      headers: { 'content-type': `application/${type}` },
    });
  }

  /** The answer to the request for a stream; its content is not read. */
  async head(path: string): Promise<Answer> {
    const ending = new AbortController();
    const response = await request(`${this.#url}${path}`, {
      dispatcher: this.#agent,
      headers: this.#authorization,
      signal: ending.signal,
    });
    const text = response.statusCode < 300 ? '' : await response.body.text();
    response.body.on('error', () => {});
    ending.abort();
    return { code: response.statusCode, body: text.startsWith('{') ? JSON.parse(text) : { text }, warnings: '' };
  }

  /** The lines of a watch, one by one, until the server ends it or the caller stops reading. */
  async *watch(path: string): AsyncGenerator<{ type: string; object: Record<string, unknown> }> {
    const response = await request(`${this.#url}${path}`, {
      dispatcher: this.#agent,
      headers: this.#authorization,
    });
    let text = '';
    for await (const chunk of response.body) {
      text += String(chunk);
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line);
    }
  }

  /** Runs the real kubectl; resolves with its standard output. */
  async kubectl(...args: string[]): Promise<string> {
    const env = { ...process.env, KUBECONFIG: this.kubeconfig };
    return (await run('kubectl', args, { env })).stdout;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

function tlsOf(config: KubeConfig) {
  const [cluster, user] = [config.getCurrentCluster(), config.getCurrentUser()];
  const pem = (data: string | undefined, file: string | undefined) =>
    data ? Buffer.from(data, 'base64').toString() : file && readFileSync(file, 'utf8');
  const ca = pem(cluster?.caData, cluster?.caFile);
  const [cert, key] = [pem(user?.certData, user?.certFile), pem(user?.keyData, user?.keyFile)];
  return {
    rejectUnauthorized: cluster?.skipTLSVerify !== true,
    ...(ca ? { ca } : {}),
    ...(cert && key ? { cert, key } : {}),
  };
}
