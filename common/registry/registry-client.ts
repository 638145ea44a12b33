import { createHash } from 'node:crypto';
import { type Dispatcher, fetch, type RequestInit, type Response } from 'undici';
import { z } from 'zod';
import { errorMessage } from '../errors/farm-error.ts';
import { type ImageReference, registryUrl } from './image-reference.ts';

/** Manifests and indexes that the registry may answer with: OCI's and Docker's (schema 2). */
const ACCEPTED = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
/** The least that a registry must take for a manifest (OCI distribution specification). */
const MAX_MANIFEST_BYTES = 4 * 1024 ** 2;

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const descriptorSchema = z.object({ digest: z.string().regex(DIGEST), size: z.int().min(0) });
const manifestSchema = z.object({ layers: z.array(descriptorSchema) });
const indexSchema = z.object({
  manifests: z.array(
    z.object({
      ...descriptorSchema.shape,
      platform: z.object({ os: z.string(), architecture: z.string() }).optional(),
    }),
  ),
});
const tokenSchema = z.union([
  z.object({ token: z.string() }).transform(({ token }) => token),
  z.object({ access_token: z.string() }).transform(({ access_token: token }) => token),
]);

export type Descriptor = z.infer<typeof descriptorSchema>;

/** How a registry is asked. */
export interface RegistryOptions {
  /** Decides which addresses may be reached; undici's own by default. */
  readonly agent?: Dispatcher;
  readonly signal?: AbortSignal;
  /** Without them everybody's token is asked for. */
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

/** The repository of an image, by the registry HTTP API v2. */
export class RegistryClient {
  readonly #reference: ImageReference;
  readonly #options: RegistryOptions;
  readonly #url: string;
  #challenge: Challenge | 'basic' | undefined;
  #authorization: string | undefined;

  constructor(reference: ImageReference, options: RegistryOptions = {}) {
    this.#reference = reference;
    this.#options = options;
    this.#url = `${registryUrl(reference)}${reference.repository}`;
  }

  /** Digest of what the reference names now, be it an image or an index of images. @throws RegistryError */
  async digest(): Promise<string> {
    // Docker Hub counts every GET of a manifest as a pull. Only a GET tells why there is none.
    const { ok, headers } = await this.#ask('HEAD', this.#name);
    const told = headers.get('docker-content-digest') ?? '';
    return ok && DIGEST.test(told) ? told : (await this.#manifest(this.#name)).digest;
  }

  /** The layers of the image, the lowest first; of an index: of its image for Linux on that architecture. */
  async layers(architecture: string): Promise<readonly Descriptor[]> {
    let { content } = await this.#manifest(this.#name);
    const index = indexSchema.safeParse(content);
    if (index.success) {
      const { manifests } = index.data;
      const fitting = manifests.find(
        ({ platform }) => platform?.os === 'linux' && platform.architecture === architecture,
      );
      if (!fitting)
        throw new RegistryError(0, `no image found in image index for architecture ${architecture}, OS linux`);
      ({ content } = await this.#manifest(fitting.digest));
    }
    const manifest = manifestSchema.safeParse(content);
    if (!manifest.success)
      throw new RegistryError(0, `the manifest of ${this.#reference.repository} is none of an image`);
    return manifest.data.layers;
  }

  /** Where a blob lies; its reader follows redirects and does not send the headers to other hosts. */
  async blob(digest: string): Promise<{ readonly url: string; readonly headers: Readonly<Record<string, string>> }> {
    // Large images take longer than a token lives.
    if (this.#challenge) await this.#authorize();
    return { url: `${this.#url}/blobs/${digest}`, headers: this.#headers() };
  }

  /** Of the manifest: the digest where there is one. */
  get #name(): string {
    return this.#reference.digest ?? this.#reference.tag ?? 'latest';
  }

  async #manifest(name: string): Promise<{ readonly digest: string; readonly content: unknown }> {
    const what = this.#reading(name);
    const response = await this.#ask('GET', name);
    if (!response.ok) throw new RegistryError(response.status, `${what}: ${await refusal(response)}`);
    const bytes = await readAll(response, what);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (name.startsWith('sha256:') && name !== digest) throw new RegistryError(0, `${what}: its digest is ${digest}`);
    try {
      return { digest, content: JSON.parse(bytes.toString()) };
    } catch (error) {
      throw new RegistryError(0, `${what}: it is no JSON`, error);
    }
  }

  #reading(name: string): string {
    return `reading manifest ${name} in ${this.#reference.registry}/${this.#reference.repository}`;
  }

  /** Asks for a manifest, with a token if the registry wants one. */
  async #ask(method: 'GET' | 'HEAD', name: string): Promise<Response> {
    const ask = () => {
      const headers = { accept: ACCEPTED.join(', '), ...this.#headers() };
      return this.#fetch(`${this.#url}/manifests/${name}`, { method, headers }, this.#reading(name));
    };
    let response = await ask();
    const challenge = response.status === 401 && !this.#challenge && readChallenge(response);
    if (challenge) {
      await response.body?.cancel();
      this.#challenge = challenge;
      await this.#authorize();
      response = await ask();
    }
    return response;
  }

  async #authorize(): Promise<void> {
    const { credentials } = this.#options;
    const basic =
      credentials && `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
    if (this.#challenge === 'basic') this.#authorization = basic;
    else if (this.#challenge) this.#authorization = `Bearer ${await this.#token(this.#challenge, basic)}`;
  }

  /** Docker registry token specification: a token for pulling from this repository. */
  async #token({ realm, service }: Challenge, basic: string | undefined): Promise<string> {
    const what = `requesting a token for ${this.#reference.registry}/${this.#reference.repository}`;
    if (!URL.canParse(realm)) throw new RegistryError(0, `${what}: the registry names no place to ask`);
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    url.searchParams.set('scope', `repository:${this.#reference.repository}:pull`);
    const headers: Record<string, string> = basic === undefined ? {} : { authorization: basic };
    const response = await this.#fetch(url.href, { method: 'GET', headers }, what);
    if (!response.ok) throw new RegistryError(response.status, `${what}: ${await refusal(response)}`);
    const token = tokenSchema.safeParse(parseJson((await readAll(response, what)).toString()));
    if (!token.success) throw new RegistryError(0, `${what}: there is none in the answer`);
    return token.data;
  }

  #headers(): Record<string, string> {
    return this.#authorization === undefined ? {} : { authorization: this.#authorization };
  }

  async #fetch(url: string, request: Pick<RequestInit, 'method' | 'headers'>, what: string): Promise<Response> {
    const { agent, signal } = this.#options;
    try {
      return await fetch(url, { ...request, ...(agent ? { dispatcher: agent } : {}), ...(signal ? { signal } : {}) });
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
async function refusal(response: Response): Promise<string> {
  const text = await readAll(response, 'reading an error').catch(() => Buffer.alloc(0));
  const [first] = errorsSchema.safeParse(parseJson(text.toString())).data?.errors ?? [];
  const said = first ? (first.message || first.code).slice(0, 200) : response.statusText;
  return `${said} (status code ${response.status})`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readAll(response: Response, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_MANIFEST_BYTES) throw new RegistryError(0, `${what}: the answer is larger than 4 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
