import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { runCommand } from '../host/run-command.ts';
import { type HttpSource, openHttpSource } from './http-source.ts';
import { detectImage, type ImageFormat } from './image-format.ts';
import { readQcow2Header } from './qcow2.ts';
import { downloadDisk, type RegistrySource } from './registry-source.ts';
import { writePlain } from './write-plain.ts';

/** What is imported. */
export type ImportSource =
  | {
      readonly kind: 'http';
      readonly http: HttpSource;
      /** `algorithm:hex` with md5, sha1, sha256 or sha512. */
      readonly checksum?: string;
    }
  | { readonly kind: 'registry'; readonly registry: RegistrySource };

/** One attempt at an import. */
export interface ImportOptions {
  readonly source: ImportSource;
  /** Working directory; what an earlier attempt left there is thrown away. */
  readonly directory: string;
  /** Where the finished qcow2 file goes. */
  readonly disk: string;
  readonly capacityBytes: number;
  /** Called with 0 to 1 as bytes arrive. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Reason of the DataVolume's `Running` condition, as CDI takes it from its pod. `ImagePullFailed`: the content broke off.
 * `CreateContainerConfigError`: the pod waits for a Secret.
 */
export type ImportErrorReason = 'Error' | 'ChecksumError' | 'ImagePullFailed' | 'CreateContainerConfigError';

/** Why an attempt failed, in CDI's terms: only a wrong checksum is final, everything else is tried again. */
export class ImportError extends Error {
  override readonly name = 'ImportError';
  readonly reason: ImportErrorReason;

  constructor(reason: ImportErrorReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}

/** Streams an image, verifies it, converts it to a qcow2 file of the wanted size, and puts it in place at once. */
export async function importImage(options: ImportOptions): Promise<void> {
  const part = join(options.directory, 'import.part');
  const plain = join(options.directory, 'import.plain');
  const converted = join(options.directory, 'import.qcow2');
  await mkdir(options.directory, { recursive: true });
  try {
    const { source, directory, onProgress, signal } = options;
    if (source.kind === 'http') await download(source, part, options);
    else await downloadDisk(source.registry, { directory, target: part, onProgress, signal });
    const image = await decompress(part, plain, options.signal);
    await toQcow2(image, converted, options);
    await rename(converted, options.disk);
  } catch (error) {
    throw error instanceof ImportError ? error : new ImportError('Error', errorMessage(error), error);
  } finally {
    await Promise.all([part, plain, converted].map((path) => rm(path, { force: true })));
  }
}

async function download(
  { http, checksum }: Extract<ImportSource, { kind: 'http' }>,
  part: string,
  { onProgress, signal }: ImportOptions,
): Promise<void> {
  const { body, lengthBytes } = await openHttpSource(http, signal);
  const [algorithm = 'sha256', expected = ''] = checksum?.split(':') ?? [];
  const hash = createHash(algorithm);
  let received = 0;
  const measure = new Transform({
    transform: (chunk: Buffer, _, done) => {
      received += chunk.length;
      if (checksum !== undefined) hash.update(chunk);
      if (lengthBytes !== undefined && lengthBytes > 0) onProgress(received / lengthBytes);
      done(null, chunk);
    },
  });
  await pipeline(body, measure, createWriteStream(part), { signal });
  if (lengthBytes !== undefined && received < lengthBytes) {
    throw new ImportError('Error', `unexpected EOF: ${received} of ${lengthBytes} bytes`);
  }
  const actual = checksum === undefined ? '' : hash.digest('hex');
  if (actual !== expected.toLowerCase()) {
    throw new ImportError('ChecksumError', `checksum mismatch: expected ${expected}, got ${actual}`);
  }
}

/** Compressed images are unpacked to `plain`; returns the path of the plain image. */
async function decompress(part: string, plain: string, signal: AbortSignal): Promise<string> {
  const { compression } = await detectImage(part);
  if (compression === undefined) return part;
  await writePlain(part, createWriteStream(plain), signal);
  return plain;
}

/**
 * Nothing of a downloaded image may make QEMU open another file: an image that names one is refused before any tool
 * looks at it, and the tools are told the format instead of guessing it.
 */
async function toQcow2(image: string, converted: string, { capacityBytes, signal }: ImportOptions): Promise<void> {
  const { format } = await detectImage(image);
  const virtualSizeBytes = await inspect(image, format, signal);
  if (virtualSizeBytes > capacityBytes) {
    const sizes = `virtual image size ${virtualSizeBytes} is larger than the available ${capacityBytes}`;
    throw new ImportError('Error', `DataVolume too small to contain image: ${sizes}`);
  }
  if (format === 'qcow2') await rename(image, converted);
  else await runCommand('qemu-img', ['convert', '-q', '-f', format, '-O', 'qcow2', image, converted], { signal });
  if (virtualSizeBytes < capacityBytes) {
    await runCommand('qemu-img', ['resize', '-q', '-f', 'qcow2', converted, `${capacityBytes}`], { signal });
  }
}

async function inspect(image: string, format: ImageFormat, signal: AbortSignal): Promise<number> {
  const header = format === 'qcow2' ? await readQcow2Header(image) : undefined;
  if (header?.backingFile !== undefined || header?.hasExternalData) {
    throw new ImportError(
      'Error',
      `Unable to process data: image ${image} is invalid because it has invalid backing file`,
    );
  }
  if (header) return header.virtualSizeBytes;
  const described = await runCommand('qemu-img', ['info', '--output=json', '-f', format, image], { signal });
  const { 'virtual-size': size, 'backing-filename': backing } = JSON.parse(described) as {
    'virtual-size': number;
    'backing-filename'?: string;
  };
  if (backing !== undefined) throw new ImportError('Error', 'Unable to process data: image has invalid backing file');
  return size;
}
