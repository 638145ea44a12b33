import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Agent } from 'undici';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { parseContainerReference } from '../../common/registry/image-reference.ts';
import { type Descriptor, RegistryClient } from '../../common/registry/registry-client.ts';
import type { RegistryOptions } from '../../common/registry/registry-session.ts';
import { connectOutside, type Outside } from './connect-outside.ts';
import { assertRoom } from './free-space.ts';
import { openHttpSource } from './http-source.ts';
import { ImportError, READ_IMAGE, sourceTooLarge } from './import-error.ts';
import { IMPORT_FILES } from './import-files.ts';

/** A container image with a disk in `/disk/` (KubeVirt's containerDisk). */
export interface RegistrySource {
  /** `docker://` and a reference. */
  readonly url: string;
  /** As Go names it, e.g. `amd64`. */
  readonly architecture: string;
  readonly credentials?: RegistryOptions['credentials'];
}

/** Where the layers go, and who wants to know. */
export interface LayerDownload {
  /** There is the door, too. */
  readonly directory: string;
  /** All layers together may not have more. */
  readonly mostBytes: number;
  /** Called with 0 to 1 as bytes of layers arrive. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
}

const SCHEME = 'docker://';

/**
 * Fetches the layers of a container image as they are; each has the digest that its manifest names.
 * @throws ImportError in the sentences of CDI's importer
 */
export async function downloadLayers(source: RegistrySource, download: LayerDownload): Promise<void> {
  try {
    await fetchLayers(source, download);
  } catch (error) {
    if (error instanceof ImportError || download.signal.aborted) throw error;
    throw new ImportError('Error', `${READ_IMAGE} ${errorMessage(error)}`, error);
  }
}

async function fetchLayers(source: RegistrySource, download: LayerDownload): Promise<void> {
  const { signal, directory, mostBytes, onProgress } = download;
  const reference = source.url.startsWith(SCHEME)
    ? parseContainerReference(source.url.slice(SCHEME.length))
    : undefined;
  if (!reference) throw new Error(`Could not parse image: ${source.url} is not a reference`);
  const { credentials } = source;
  const outside = { door: join(directory, IMPORT_FILES.door), signal };
  const agent = agentFor(outside);
  const registry = new RegistryClient(reference, { agent, signal, ...(credentials ? { credentials } : {}) });
  try {
    const layers = await registry.layers(source.architecture).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new ImportError('ImagePullFailed', `${READ_IMAGE} failed to pull image: ${errorMessage(error)}`, error);
    });
    const totalBytes = layers.reduce((sum, { size }) => sum + size, 0);
    if (totalBytes > mostBytes) throw sourceTooLarge(`the layers of the container image have ${totalBytes} bytes`);
    await assertRoom(directory, totalBytes);
    let received = 0;
    const onBytes = (bytes: number) => {
      received += bytes;
      if (totalBytes > 0) onProgress(received / totalBytes);
    };
    for (const [index, layer] of layers.entries()) {
      const path = join(directory, `${IMPORT_FILES.layer}${index}`);
      await fetchLayer(registry, layer, { path, onBytes, outside });
    }
  } finally {
    await agent.destroy();
  }
}

/** The registry's client speaks through the door, too. */
function agentFor(outside: Outside): Agent {
  return new Agent({
    connect: ({ protocol, hostname, port }, callback) => {
      connectOutside(new URL(`${protocol}//${hostname}:${port}`), outside).then(
        (socket) => callback(null, socket),
        (error) => callback(error, null),
      );
    },
  });
}

interface LayerTarget {
  readonly path: string;
  readonly onBytes: (bytes: number) => void;
  readonly outside: Outside;
}

async function fetchLayer(
  registry: RegistryClient,
  { digest, size }: Descriptor,
  { path, onBytes, outside }: LayerTarget,
): Promise<void> {
  const { body } = await openHttpSource({ ...(await registry.blob(digest)), mayBeUnverified: false }, outside);
  const hash = createHash('sha256');
  let received = 0;
  const measure = new Transform({
    transform: (chunk: Buffer, _, done) => {
      received += chunk.length;
      hash.update(chunk);
      onBytes(chunk.length);
      // A server that sends more than the manifest announces could fill the disk.
      done(received > size ? new Error(`Could not read layer: it is longer than ${size} bytes`) : null, chunk);
    },
  });
  await pipeline(body, measure, createWriteStream(path), { signal: outside.signal });
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual !== digest) throw new Error(`Could not read layer: its digest is ${actual}, expected ${digest}`);
}
