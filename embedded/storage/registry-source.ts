import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { type AddressGuard, createAddressGuard, createGuardedAgent } from '../../common/fetch/address-guard.ts';
import { parseImageReference } from '../../common/registry/image-reference.ts';
import { type Descriptor, RegistryClient, type RegistryOptions } from '../../common/registry/registry-client.ts';
import { openHttpSource } from './http-source.ts';
import { tooLarge } from './import-error.ts';
import { writePlain } from './write-plain.ts';

/** A container image with a disk in `/disk/` (KubeVirt's containerDisk). */
export interface RegistrySource {
  /** `docker://` and a reference. */
  readonly url: string;
  /** As Go names it, e.g. `amd64`. */
  readonly architecture: string;
  readonly credentials?: RegistryOptions['credentials'];
}

/** Where the disk goes, and who wants to know. */
export interface DiskDownload {
  /** Layers are kept here while they are looked through. */
  readonly directory: string;
  /** The disk, as it lies in the image. */
  readonly target: string;
  /** What may be reached besides public addresses; `fetch.allowedAddresses`. */
  readonly allowedAddresses: readonly string[];
  /** Neither a layer nor the disk may have more. */
  readonly mostBytes: number;
  /** Called with 0 to 1 as bytes of layers arrive. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
}

const SCHEME = 'docker://';

/**
 * Takes the disk out of a container image. As CDI's importer does: the layers from the lowest up, and in them the first
 * file below `/disk/` that is no whiteout; what higher layers do to it is not looked at. Every layer that is looked
 * through has the digest that its manifest names.
 */
export async function downloadDisk(source: RegistrySource, download: DiskDownload): Promise<void> {
  const { signal, directory, target, mostBytes, onProgress, allowedAddresses } = download;
  const reference = source.url.startsWith(SCHEME) ? parseImageReference(source.url.slice(SCHEME.length)) : undefined;
  if (!reference) throw new Error(`Could not parse image: ${source.url} is no reference`);
  const { credentials } = source;
  const agent = createGuardedAgent({ allowedAddresses });
  const registry = new RegistryClient(reference, { agent, signal, ...(credentials ? { credentials } : {}) });
  const guard = createAddressGuard({ allowedAddresses });
  const path = join(directory, 'import.layer');
  let received = 0;
  try {
    const layers = await registry.layers(source.architecture);
    const totalBytes = layers.reduce((sum, { size }) => sum + size, 0);
    for (const layer of layers) {
      if (layer.size > mostBytes) throw tooLarge(`a layer of the container image has ${layer.size} bytes`);
      const onBytes = (bytes: number) => {
        received += bytes;
        if (totalBytes > 0) onProgress(received / totalBytes);
      };
      await fetchLayer(registry, layer, { path, onBytes, signal, guard });
      if (await takeDisk(path, target, { mostBytes, signal })) return;
    }
  } finally {
    await Promise.all([agent.destroy(), rm(path, { force: true })]);
  }
  throw new Error('Failed to find VM disk image file in the container image');
}

interface LayerTarget {
  readonly path: string;
  readonly onBytes: (bytes: number) => void;
  readonly guard: AddressGuard;
  readonly signal: AbortSignal;
}

async function fetchLayer(
  registry: RegistryClient,
  { digest, size }: Descriptor,
  { path, onBytes, ...access }: LayerTarget,
): Promise<void> {
  const { body } = await openHttpSource({ ...(await registry.blob(digest)), mayBeUnverified: false }, access);
  const hash = createHash('sha256');
  let received = 0;
  const measure = new Transform({
    transform: (chunk: Buffer, _, done) => {
      received += chunk.length;
      hash.update(chunk);
      onBytes(chunk.length);
      // Whoever sends more than the manifest announces could fill the disk.
      done(received > size ? new Error(`Could not read layer: it is longer than ${size} bytes`) : null, chunk);
    },
  });
  await pipeline(body, measure, createWriteStream(path), { signal: access.signal });
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual !== digest) throw new Error(`Could not read layer: its digest is ${actual}, expected ${digest}`);
}

/** Whether the disk was in the layer. */
async function takeDisk(
  layer: string,
  target: string,
  { mostBytes, signal }: Pick<DiskDownload, 'mostBytes' | 'signal'>,
): Promise<boolean> {
  const archive = extract();
  // The types of streamx are its own; it is a writable stream to Node.
  const written = writePlain(layer, archive as unknown as NodeJS.WritableStream, signal);
  written.catch((error: Error) => archive.destroy(error));
  let isFound = false;
  for await (const entry of archive) {
    if (isFound || !isDisk(entry.header)) {
      entry.resume();
      continue;
    }
    const { size = 0 } = entry.header;
    if (size > mostBytes) throw tooLarge(`the disk in the container image has ${size} bytes`);
    await pipeline(entry as AsyncIterable<Buffer>, createWriteStream(target), { signal });
    isFound = true;
  }
  await written;
  return isFound;
}

function isDisk({ name, type }: Header): boolean {
  return type === 'file' && /^(\.?\/)?disk\/./.test(name) && !/(^|\/)\.wh\.[^/]*$/.test(name);
}
