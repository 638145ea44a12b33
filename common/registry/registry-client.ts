import { hash } from 'node:crypto';
import { z } from 'zod';
import type { ContainerReference } from './image-reference.ts';
import { RegistryError, type RegistryOptions, RegistrySession, readAll, readRefusal } from './registry-session.ts';

/** Manifests and indexes that the registry may answer with: OCI's and Docker's (schema 2). */
const ACCEPTED = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

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

export type Descriptor = z.infer<typeof descriptorSchema>;

/** The repository of an image, by the registry HTTP API v2. */
export class RegistryClient {
  readonly #reference: ContainerReference;
  readonly #session: RegistrySession;

  constructor(reference: ContainerReference, options: RegistryOptions = {}) {
    this.#reference = reference;
    this.#session = new RegistrySession(reference, options, 'pull');
  }

  /** Digest that the reference names now, of an image or an index of images. @throws RegistryError */
  async digest(): Promise<string> {
    // Docker Hub counts every GET of a manifest as a pull. Only a GET returns the reason of a failure.
    const { ok, headers } = await this.#ask('HEAD', this.#name);
    const reported = headers.get('docker-content-digest') ?? '';
    return ok && DIGEST.test(reported) ? reported : (await this.#manifest(this.#name)).digest;
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
      throw new RegistryError(0, `the manifest of ${this.#reference.repository} is not that of an image`);
    return manifest.data.layers;
  }

  /** Where a blob lies; its reader follows redirects and does not send the headers to other hosts. */
  async blob(digest: string): Promise<{ readonly url: string; readonly headers: Readonly<Record<string, string>> }> {
    return { url: `${this.#session.url}/blobs/${digest}`, headers: await this.#session.headers() };
  }

  /** Of the manifest: the digest where there is one. */
  get #name(): string {
    return this.#reference.digest ?? this.#reference.tag ?? 'latest';
  }

  async #manifest(name: string): Promise<{ readonly digest: string; readonly content: unknown }> {
    const what = this.#reading(name);
    const response = await this.#ask('GET', name);
    if (!response.ok) throw new RegistryError(response.status, `${what}: ${await readRefusal(response)}`);
    const bytes = await readAll(response, what);
    const digest = `sha256:${hash('sha256', bytes)}`;
    if (name.startsWith('sha256:') && name !== digest) throw new RegistryError(0, `${what}: its digest is ${digest}`);
    try {
      return { digest, content: JSON.parse(bytes.toString()) };
    } catch (error) {
      throw new RegistryError(0, `${what}: it is not JSON`, error);
    }
  }

  #reading(name: string): string {
    return `reading manifest ${name} in ${this.#reference.registry}/${this.#reference.repository}`;
  }

  #ask(method: 'GET' | 'HEAD', name: string) {
    const headers = { accept: ACCEPTED.join(', ') };
    return this.#session.ask(`${this.#session.url}/manifests/${name}`, { method, headers, what: this.#reading(name) });
  }
}
