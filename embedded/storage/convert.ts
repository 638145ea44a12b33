import { createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { withFileBytes } from '../../common/image/file-bytes.ts';
import { ImageRefused } from '../../common/image/image-bytes.ts';
import { type ImageFormat, probeImage } from '../../common/image/probe-image.ts';
import { runCommand } from '../host/run-command.ts';
import { BoundedBytes } from './bounded-bytes.ts';
import { ImportError, sourceTooLarge, TRANSFER } from './import-error.ts';
import { IMPORT_FILES } from './import-files.ts';
import type { ImportPlan } from './import-plan.ts';
import { assertAlone } from './qemu-info.ts';
import { writePlain } from './write-plain.ts';

const INSPECT = 'Unable to process data: Unable to obtain information about data source:';
const CONVERT = 'Unable to process data: Unable to convert source data to target format:';

/**
 * Unpacks the download into the present directory, inspects it, and converts it to a qcow2 file of the requested
 * size. @throws ImportError in the sentences of CDI's importer
 */
export async function convert(plan: ImportPlan, signal: AbortSignal): Promise<void> {
  if (plan.source.kind === 'registry') {
    const { takeDisk } = await import('./layer-disk.ts');
    await takeDisk('.', plan, signal);
  }
  await toQcow2(await unpack(plan, signal), plan, signal);
}

/** Compressed images are unpacked; returns the path of the plain image. */
async function unpack({ mostBytes }: ImportPlan, signal: AbortSignal): Promise<string> {
  const { part, plain } = IMPORT_FILES;
  const { compression } = await inspect(part);
  if (compression === undefined) return part;
  const bytes = new BoundedBytes(mostBytes, 'unpacked it has');
  const stored = pipeline(bytes, createWriteStream(plain), { signal });
  try {
    await Promise.all([writePlain(part, bytes, signal), stored]);
  } catch (error) {
    await stored.catch(() => {});
    if (error instanceof ImportError || signal.aborted) throw error;
    const why = `failed to pull image: ${compression}: ${errorMessage(error)} after ${bytes.count} bytes`;
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
 * A downloaded image must not make QEMU open another file: images that our own parser did not accept are never passed to
 * a tool, the tools get the format instead of guessing it, and their result is checked again.
 */
async function toQcow2(image: string, { capacityBytes }: ImportPlan, signal: AbortSignal): Promise<void> {
  const probed = await inspect(image);
  if (probed.compression !== undefined) {
    throw new ImportError('Error', `${INSPECT} it is compressed twice (${probed.compression} inside)`);
  }
  const { format } = probed;
  const virtualSizeBytes = await assertAlone(image, format, signal);
  if (virtualSizeBytes > capacityBytes) {
    throw sourceTooLarge(
      `virtual image size ${virtualSizeBytes} is larger than the reported available storage ${capacityBytes}`,
    );
  }
  const converted = IMPORT_FILES.disk;
  await writeQcow2(image, converted, { format, signal });
  if (virtualSizeBytes < capacityBytes) {
    await runCommand('qemu-img', ['resize', '-q', '-f', 'qcow2', converted, `${capacityBytes}`], { signal });
  }
}

async function writeQcow2(image: string, converted: string, how: { format: ImageFormat; signal: AbortSignal }) {
  const { format, signal } = how;
  if (format === 'qcow2') return await rename(image, converted);
  try {
    await runCommand('qemu-img', ['convert', '-q', '-f', format, '-O', 'qcow2', image, converted], { signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ImportError('Error', `${CONVERT} Conversion to Raw failed: ${errorMessage(error)}`, error);
  }
}
