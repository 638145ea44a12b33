import { type Dispatcher, fetch, type RequestInit, type Response } from 'undici';
import { z } from 'zod';
import { errorMessage } from '../errors/farm-error.ts';
import { STREAMED } from '../fetch/streamed-body.ts';
import { parseJson } from '../text/parse-json.ts';
import { type ContainerReference, registryUrl } from './image-reference.ts';

/** The least that a registry must take for a manifest (OCI distribution specification). */
const MAX_ANSWER_BYTES = 4 * 1024 ** 2;

const tokenSchema = z.union([
  z.object({ token: z.string() }).transform(({ token }) => token),
  z.object({ access_token: z.string() }).transform(({ access_token: token }) => token),
]);

/** How a registry is asked. */
export interface RegistryOptions {
  /** Decides which addresses may be reached; undici's own by default. */
  readonly agent?: Dispatcher;
  readonly signal?: AbortSignal;
  /** Without them an anonymous token is requested. */
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** The registry refused, or could not be asked. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  /** HTTP status; 0 without an answer. */
  readonly status: number;

  constructor(status: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
  }
}

interface Challenge {
  readonly realm: string;
  readonly service: string | undefined;
}

/** The request, and `what` for the errors: `reading manifest 1 in …`. */
export interface RegistryRequest extends Pick<RequestInit, 'method' | 'headers' | 'body'> {
  readonly what: string;
}

/** Requests to one repository of a registry, with the authentication that the registry requires. */
export class RegistrySession {
  /** Of the repository, without a slash at its end. */
  readonly url: string;
  readonly #reference: ContainerReference;
  readonly #options: RegistryOptions;
  readonly #actions: 'pull' | 'pull,push';
  #challenge: Challenge | 'basic' | undefined;
  #authorization: string | undefined;

  constructor(reference: ContainerReference, options: RegistryOptions, actions: 'pull' | 'pull,push') {
    this.#reference = reference;
    this.#options = options;
    this.#actions = actions;
    this.url = `${registryUrl(reference)}${reference.repository}`;
  }

  /** Sends a request, again with a token if the registry wants one; a body is one that can be sent twice. @throws RegistryError */
  async ask(url: string, request: RegistryRequest): Promise<Response> {
    const response = await this.send(url, request);
    const challenge = response.status === 401 && !this.#challenge && readChallenge(response);
    if (!challenge) return response;
    await response.body?.cancel();
    this.#challenge = challenge;
    await this.#authorize();
    return this.send(url, request);
  }

  /** Sends a request once, with the token that there is; to other hosts without one. @throws RegistryError */
  send(url: string, { what, ...request }: RegistryRequest): Promise<Response> {
    const isOwn = new URL(url).origin === new URL(this.url).origin;
    const own = isOwn && this.#authorization !== undefined ? { authorization: this.#authorization } : {};
    return this.#fetch(url, { ...request, headers: { ...(request.headers as Record<string, string>), ...own } }, what);
  }

  /** A fresh token where the registry wants one: long transfers take longer than a token lives. */
  async headers(): Promise<Record<string, string>> {
    if (this.#challenge) await this.#authorize();
    return this.#authorization === undefined ? {} : { authorization: this.#authorization };
  }

  async #authorize(): Promise<void> {
    const { credentials } = this.#options;
    const basic =
      credentials && `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
    if (this.#challenge === 'basic') this.#authorization = basic;
    else if (this.#challenge) this.#authorization = `Bearer ${await this.#token(this.#challenge, basic)}`;
  }

  /** Docker registry token specification: a token for this repository. */
  async #token({ realm, service }: Challenge, basic: string | undefined): Promise<string> {
    const what = `requesting a token for ${this.#reference.registry}/${this.#reference.repository}`;
    if (!URL.canParse(realm)) throw new RegistryError(0, `${what}: the registry names no valid token server`);
    const url = new URL(realm);
    if (basic !== undefined && url.protocol !== 'https:' && new URL(this.url).protocol === 'https:') {
      throw new RegistryError(
        0,
        `${what}: the registry names a token server without TLS, to which no password is sent`,
      );
    }
    if (service !== undefined) url.searchParams.set('service', service);
    url.searchParams.set('scope', `repository:${this.#reference.repository}:${this.#actions}`);
    const headers: Record<string, string> = basic === undefined ? {} : { authorization: basic };
    const response = await this.#fetch(url.href, { method: 'GET', headers }, what);
    if (!response.ok) throw new RegistryError(response.status, `${what}: ${await readRefusal(response)}`);
    const token = tokenSchema.safeParse(parseJson((await readAll(response, what)).toString()));
    if (!token.success) throw new RegistryError(0, `${what}: the answer contains no token`);
    return token.data;
  }

  async #fetch(
    url: string,
    request: Pick<RequestInit, 'method' | 'headers' | 'body'>,
    what: string,
  ): Promise<Response> {
    const { agent, signal } = this.#options;
    try {
      const streamed = request.body instanceof ReadableStream ? STREAMED : {};
      const how = { ...(agent ? { dispatcher: agent } : {}), ...(signal ? { signal } : {}), ...streamed };
      return await fetch(url, { ...request, ...how });
    } catch (error) {
      signal?.throwIfAborted();
      const why = errorMessage(error instanceof Error ? (error.cause ?? error) : error);
      throw new RegistryError(0, `${what}: ${why}`, error);
    }
  }
}

/** `WWW-Authenticate: Bearer realm="…",service="…"`, or `Basic`. */
function readChallenge({ headers }: Response): Challenge | 'basic' | undefined {
  const text = headers.get('www-authenticate') ?? '';
  if (/^basic\b/i.test(text)) return 'basic';
  if (!/^bearer\b/i.test(text)) return undefined;
  const parameter = (name: string) => new RegExp(`[ ,]${name}="([^"]*)"`, 'i').exec(text)?.[1];
  return { realm: parameter('realm') ?? '', service: parameter('service') };
}

const errorsSchema = z.object({
  errors: z.array(z.object({ code: z.string(), message: z.string().optional() })).min(1),
});

/** The registry's own words, `manifest unknown` for one. */
export async function readRefusal(response: Response): Promise<string> {
  const text = await readAll(response, 'reading an error').catch(() => Buffer.alloc(0));
  const [first] = errorsSchema.safeParse(parseJson(text.toString())).data?.errors ?? [];
  const reason = first ? (first.message || first.code).slice(0, 200) : response.statusText;
  return `${reason} (status code ${response.status})`;
}

/** The body of an answer, of 4 MiB at most. @throws RegistryError */
export async function readAll(response: Response, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES) throw new RegistryError(0, `${what}: the answer is larger than 4 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
