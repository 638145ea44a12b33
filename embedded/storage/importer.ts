import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { createAddressGuard } from '../../common/fetch/address-guard.ts';
import { withFileBytes } from '../../common/image/file-bytes.ts';
import { ImageRefused } from '../../common/image/image-bytes.ts';
import { type ImageFormat, probeImage } from '../../common/image/probe-image.ts';
import { runCommand } from '../host/run-command.ts';
import { type HttpSource, openHttpSource } from './http-source.ts';
import { ImportError, tooLarge } from './import-error.ts';
import { assertAlone } from './qemu-info.ts';
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
  /** What sources may lead to besides public addresses; `fetch.allowedAddresses`. */
  readonly allowedAddresses: readonly string[];
  /** Called with 0 to 1 as bytes arrive. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
}

/** Formats need some bytes beside those of the disk: a hundredth is plenty, and snapshots inside are none of ours. */
const MARGIN_BYTES = 64 * 1024 ** 2;
const TRANSFER = 'Unable to process data: Unable to transfer source data to scratch space:';
const INSPECT = 'Unable to process data: Unable to obtain information about data source:';
const CONVERT = 'Unable to process data: Unable to convert source data to target format:';

/**
 * Streams an image, verifies it, looks what it is, converts it to a qcow2 file of the wanted size, and puts it in place at
 * once. @throws ImportError in the sentences of CDI's importer
 */
export async function importImage(options: ImportOptions): Promise<void> {
  const { source, directory, capacityBytes } = options;
  const part = join(directory, 'import.part');
  const plain = join(directory, 'import.plain');
  const converted = join(directory, 'import.qcow2');
  const mostBytes = capacityBytes + Math.ceil(capacityBytes / 100) + MARGIN_BYTES;
  await mkdir(directory, { recursive: true });
  try {
    if (source.kind === 'http') await download(source, part, { ...options, mostBytes });
    else await downloadDisk(source.registry, { ...options, target: part, mostBytes });
    const image = await unpack(part, plain, { mostBytes, signal: options.signal });
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
  { onProgress, signal, mostBytes, allowedAddresses }: ImportOptions & { readonly mostBytes: number },
): Promise<void> {
  const { body, lengthBytes } = await openHttpSource(http, {
    guard: createAddressGuard({ allowedAddresses }),
    signal,
  }).catch((error) => {
    throw new ImportError('Error', `Unable to connect to http data source: ${errorMessage(error)}`, error);
  });
  const [algorithm = 'sha256', expected = ''] = checksum?.split(':') ?? [];
  const hash = createHash(algorithm);
  let received = 0;
  const measure = new Transform({
    transform: (chunk: Buffer, _, done) => {
      received += chunk.length;
      if (checksum !== undefined) hash.update(chunk);
      if (lengthBytes !== undefined && lengthBytes > 0) onProgress(received / lengthBytes);
      done(received > mostBytes ? tooLarge(`the source has more than ${mostBytes} bytes`) : null, chunk);
    },
  });
  const had = () => `${received} of ${lengthBytes ?? 'an unknown number of'} bytes came`;
  try {
    await pipeline(body, measure, createWriteStream(part), { signal });
  } catch (error) {
    if (error instanceof ImportError || signal.aborted) throw error;
    // What Node calls aborted, Go calls an unexpected EOF.
    const why = errorMessage(error) === 'aborted' ? 'unexpected EOF' : errorMessage(error);
    throw new ImportError('ImagePullFailed', `${TRANSFER} failed to pull image: ${why}: ${had()}`, error);
  }
  if (lengthBytes !== undefined && received < lengthBytes) {
    throw new ImportError('ImagePullFailed', `${TRANSFER} failed to pull image: unexpected EOF: ${had()}`);
  }
  const actual = checksum === undefined ? '' : hash.digest('hex');
  if (actual !== expected.toLowerCase()) {
    const sentence = `checksum mismatch: expected ${expected}, calculated ${actual}`;
    throw new ImportError('ChecksumError', `${TRANSFER} checksum validation failed: ${sentence}`);
  }
}

/** Compressed images are unpacked to `plain`; returns the path of the plain image. */
async function unpack(
  part: string,
  plain: string,
  { mostBytes, signal }: { readonly mostBytes: number; readonly signal: AbortSignal },
): Promise<string> {
  const { compression } = await inspect(part);
  if (compression === undefined) return part;
  let written = 0;
  const measure = new Transform({
    transform: (chunk: Buffer, _, done) => {
      written += chunk.length;
      done(written > mostBytes ? tooLarge(`unpacked it has more than ${mostBytes} bytes`) : null, chunk);
    },
  });
  const stored = pipeline(measure, createWriteStream(plain), { signal });
  try {
    await Promise.all([writePlain(part, measure, signal), stored]);
  } catch (error) {
    await stored.catch(() => {});
    if (error instanceof ImportError || signal.aborted) throw error;
    const why = `failed to pull image: ${compression}: ${errorMessage(error)} after ${written} bytes`;
    throw new ImportError('ImagePullFailed', `${TRANSFER} ${why}`, error);
  }
  return plain;
}

async function inspect(path: string) {
  try {
    return await withFileBytes(path, probeImage);
  } catch (error) {
    if (error instanceof ImageRefused) throw new ImportError('Error', `${INSPECT} it is ${error.message}`, error);
    throw error;
  }
}

/**
 * Nothing of a downloaded image may make QEMU open another file: what was not accepted by our own parser is never shown to
 * a tool, the tools are told the format instead of guessing it, and what they found is looked at again.
 */
async function toQcow2(image: string, converted: string, { capacityBytes, signal }: ImportOptions): Promise<void> {
  const probed = await inspect(image);
  if (probed.compression !== undefined) {
    throw new ImportError('Error', `${INSPECT} it is compressed twice (${probed.compression} inside)`);
  }
  const { format } = probed;
  const virtualSizeBytes = await assertAlone(image, format, signal);
  if (virtualSizeBytes > capacityBytes) {
    throw tooLarge(
      `virtual image size ${virtualSizeBytes} is larger than the reported available storage ${capacityBytes}`,
    );
  }
  await convert(image, converted, { format, signal });
  if (virtualSizeBytes < capacityBytes) {
    await runCommand('qemu-img', ['resize', '-q', '-f', 'qcow2', converted, `${capacityBytes}`], { signal });
  }
}

async function convert(image: string, converted: string, how: { format: ImageFormat; signal: AbortSignal }) {
  const { format, signal } = how;
  if (format === 'qcow2') return await rename(image, converted);
  try {
    await runCommand('qemu-img', ['convert', '-q', '-f', format, '-O', 'qcow2', image, converted], { signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ImportError('Error', `${CONVERT} Conversion to Raw failed: ${errorMessage(error)}`, error);
  }
}
