import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { BoundedBytes } from './bounded-bytes.ts';
import { assertRoom } from './free-space.ts';
import { openHttpSource } from './http-source.ts';
import { ImportError, sourceTooLarge, TRANSFER } from './import-error.ts';
import { IMPORT_FILES } from './import-files.ts';
import type { ImportPlan, ImportSource } from './import-plan.ts';

/** Pending data is written in one piece: a write per chunk of the network costs a tenth of the download. */
const BUFFER_BYTES = 4 * 1024 ** 2;

/** How a download is watched and ended. */
export interface DownloadControl {
  /** Called when a server has answered with the file, before reading it. */
  readonly onOpened: () => void;
  /** Called with 0 to 1 as bytes arrive. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
}

/** Fetches the source into the present directory, and verifies it. @throws ImportError in the sentences of CDI's importer */
export async function download(plan: ImportPlan, control: DownloadControl): Promise<void> {
  const { source } = plan;
  if (source.kind === 'http') return await downloadFile(source, plan, control);
  const { downloadLayers } = await import('./registry-source.ts');
  await downloadLayers(source.registry, { ...plan, ...control, directory: '.' });
}

async function downloadFile(
  { http, checksum }: Extract<ImportSource, { kind: 'http' }>,
  { mostBytes }: ImportPlan,
  { onOpened, onProgress, signal }: DownloadControl,
): Promise<void> {
  const { body, lengthBytes } = await openHttpSource(http, { door: IMPORT_FILES.door, signal }).catch((error) => {
    throw new ImportError('Error', `Unable to connect to http data source: ${errorMessage(error)}`, error);
  });
  if (lengthBytes !== undefined && lengthBytes > mostBytes) throw sourceTooLarge(`the source has ${lengthBytes} bytes`);
  onOpened();
  const [algorithm = 'sha256', expected = ''] = checksum?.split(':') ?? [];
  const hash = createHash(algorithm);
  const bytes = new BoundedBytes(mostBytes, 'the source has', (chunk, received) => {
    if (checksum !== undefined) hash.update(chunk);
    if (lengthBytes !== undefined && lengthBytes > 0) onProgress(received / lengthBytes);
  });
  const had = () => `${bytes.count} of ${lengthBytes ?? 'an unknown number of'} bytes came`;
  try {
    // At once: bytes that were not read yet are lost, and not counted, when the source breaks off.
    const writing = pipeline(body, bytes, createWriteStream(IMPORT_FILES.part, { highWaterMark: BUFFER_BYTES }), {
      signal,
    });
    await Promise.all([writing, lengthBytes === undefined ? undefined : assertRoom('.', lengthBytes)]);
  } catch (error) {
    if (error instanceof ImportError || signal.aborted) throw error;
    // What Node calls aborted, Go calls an unexpected EOF.
    const why = errorMessage(error) === 'aborted' ? 'unexpected EOF' : errorMessage(error);
    throw new ImportError('ImagePullFailed', `${TRANSFER} failed to pull image: ${why}: ${had()}`, error);
  }
  if (lengthBytes !== undefined && bytes.count < lengthBytes) {
    throw new ImportError('ImagePullFailed', `${TRANSFER} failed to pull image: unexpected EOF: ${had()}`);
  }
  const actual = checksum === undefined ? '' : hash.digest('hex');
  if (actual !== expected.toLowerCase()) {
    const sentence = `checksum mismatch: expected ${expected}, calculated ${actual}`;
    throw new ImportError('ChecksumError', `${TRANSFER} checksum validation failed: ${sentence}`);
  }
}
