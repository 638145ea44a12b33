import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ContainerReference } from './image-reference.ts';
import {
  RegistryError,
  type RegistryOptions,
  type RegistryRequest,
  RegistrySession,
  readRefusal,
} from './registry-session.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
/** Uncompressed: clients write the tar as it is. */
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

/** The one layer of an image: a tar of `sizeBytes` that can be read as often as it is asked for. */
export interface LayerContent {
  readonly digest: string;
  readonly sizeBytes: number;
  open(): Readable;
}

/** The image to push. */
export interface ImageContent {
  readonly layer: LayerContent;
  /** As Go names it, e.g. `amd64`. */
  readonly architecture: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** Of the manifest, `org.opencontainers.image.*`. */
  readonly annotations: Readonly<Record<string, string>>;
}

export interface PushOptions extends RegistryOptions {
  /** Hears bytes of the layer that the registry has. */
  onProgress?(doneBytes: number, totalBytes: number): void;
}

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  open(): Readable;
}

/**
 * Pushes an image of one layer (OCI distribution specification, image specification 1), and returns the digest of its
 * manifest. Content that the registry already has is not sent again, so an interrupted push can be repeated.
 * @throws RegistryError
 */
export async function pushImage(
  reference: ContainerReference,
  { layer, architecture, createdAt, annotations }: ImageContent,
  options: PushOptions = {},
): Promise<string> {
  const session = new RegistrySession(reference, options, 'pull,push');
  const where = `${reference.registry}/${reference.repository}`;
  const rootfs = { type: 'layers', diff_ids: [layer.digest] };
  const config = blobOf(CONFIG, { created: createdAt, architecture, os: 'linux', config: {}, rootfs });
  const content = { ...layer, mediaType: LAYER, open: () => counted(layer, options.onProgress) };
  await putBlob(session, content, where);
  options.onProgress?.(layer.sizeBytes, layer.sizeBytes);
  await putBlob(session, config, where);
  const manifest = blobOf(MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: descriptor(config),
    layers: [descriptor(content)],
    annotations,
  });
  const name = reference.tag ?? manifest.digest;
  await expectDone(session, `${session.url}/manifests/${name}`, {
    method: 'PUT',
    headers: { 'content-type': MANIFEST },
    body: manifest.bytes,
    what: `writing manifest ${name} to ${where}`,
  });
  return manifest.digest;
}

/**
 * Begins an upload and abandons it, as nothing less shows whether a registry can be reached and takes images from these
 * credentials.
 * @throws RegistryError
 */
export async function assertPushAllowed(reference: ContainerReference, options: RegistryOptions = {}): Promise<void> {
  const session = new RegistrySession(reference, options, 'pull,push');
  const what = `beginning an upload to ${reference.registry}/${reference.repository}`;
  const begun = await expectDone(session, `${session.url}/blobs/uploads/`, { method: 'POST', what });
  // Registries remove abandoned uploads by themselves, some only so.
  const answer = await session.send(begun, { method: 'DELETE', what }).catch(() => undefined);
  await answer?.body?.cancel();
}

function blobOf(mediaType: string, value: object) {
  const bytes = Buffer.from(JSON.stringify(value));
  const digest = `sha256:${hash('sha256', bytes)}`;
  return { mediaType, digest, bytes, sizeBytes: bytes.length, open: () => Readable.from([bytes]) };
}

function descriptor({ mediaType, digest, sizeBytes }: Blob) {
  return { mediaType, digest, size: sizeBytes };
}

/** As Docker pushes: an upload is begun, filled by one PATCH, and closed with the digest. */
async function putBlob(session: RegistrySession, blob: Blob, where: string): Promise<void> {
  const { digest, sizeBytes } = blob;
  const what = `writing blob ${digest} to ${where}`;
  // The session also learns from this request how to authenticate.
  const known = await session.ask(`${session.url}/blobs/${digest}`, { method: 'HEAD', what });
  if (known.ok) return;
  await session.headers();
  const begun = await expectDone(session, `${session.url}/blobs/uploads/`, { method: 'POST', what });
  const filled = await expectDone(session, begun, {
    method: 'PATCH',
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(sizeBytes) },
    body: Readable.toWeb(blob.open()),
    what,
  });
  const end = new URL(filled);
  end.searchParams.set('digest', digest);
  await session.headers();
  await expectDone(session, end.href, { method: 'PUT', headers: { 'content-length': '0' }, what });
}

/** Sends a request, and returns where it continues. A body is streamed, so only a request before it can learn of a challenge. */
async function expectDone(session: RegistrySession, url: string, request: RegistryRequest): Promise<string> {
  const response = await (request.body ? session.send(url, request) : session.ask(url, request));
  if (!response.ok) throw new RegistryError(response.status, `${request.what}: ${await readRefusal(response)}`);
  await response.body?.cancel();
  return new URL(response.headers.get('location') ?? url, url).href;
}

function counted(layer: LayerContent, onProgress: PushOptions['onProgress']): Readable {
  async function* pieces() {
    let done = 0;
    for await (const piece of layer.open() as AsyncIterable<Buffer>) {
      yield piece;
      done += piece.length;
      onProgress?.(done, layer.sizeBytes);
    }
  }
  return Readable.from(pieces(), { objectMode: false });
}
