import { chown, constants, type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createAddressGuard } from '../../common/fetch/address-guard.ts';
import { parseQcow2Header } from '../../common/image/qcow2.ts';
import { type Confiner, FIRST_USER } from '../host/confinement.ts';
import { ImportError } from './import-error.ts';
import { IMPORT_FILES } from './import-files.ts';
import type { ImportSource } from './import-plan.ts';
import { ImportProcess } from './import-process.ts';
import { NetworkDoor } from './network-door.ts';

/** One attempt at an import. */
export interface ImportOptions {
  readonly source: ImportSource;
  /** The attempt's own, on the file system of the disk; existing files are removed. Its path is short: it holds a socket. */
  readonly directory: string;
  /** Where the finished qcow2 file goes. */
  readonly disk: string;
  readonly capacityBytes: number;
  /** Allowed addresses of sources besides public ones; `fetch.allowedAddresses`. */
  readonly allowedAddresses: readonly string[];
  readonly confiner: Confiner;
  /** Called when the source has answered with a file; not for container images. */
  readonly onOpened: () => void;
  /** Called with 0 to 1 as bytes arrive. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
}

/** Formats need some bytes beside those of the disk: a hundredth is plenty, and snapshots inside are none of ours. */
const MARGIN_BYTES = 64 * 1024 ** 2;
/** Sizes are rounded to it. */
const SECTOR_BYTES = 512;
const CPU_SECONDS = 2 * 3600;
const MEMORY_BYTES = 1024 ** 3;

/**
 * Imports an image in a confined process: it is not root, sees only the directory of the import, and has no network except
 * a door that is closed after the download. Its result is checked again and put in place atomically.
 * @throws ImportError in the sentences of CDI's importer
 */
export async function importImage(options: ImportOptions): Promise<void> {
  const { source, directory, capacityBytes, allowedAddresses, confiner, onOpened, onProgress, signal } = options;
  const mostBytes = capacityBytes + Math.ceil(capacityBytes / 100) + MARGIN_BYTES;
  const limits = { cpuSeconds: CPU_SECONDS, memoryBytes: MEMORY_BYTES, fileBytes: mostBytes + MARGIN_BYTES };
  const confinement = { user: FIRST_USER, directory, limits };
  try {
    signal.throwIfAborted();
    await emptyDirectory(directory, confiner.userOf(confinement));
    const door = await NetworkDoor.open(join(directory, IMPORT_FILES.door), createAddressGuard({ allowedAddresses }));
    const importing = new ImportProcess(confiner, confinement);
    const end = () => importing.kill();
    signal.addEventListener('abort', end, { once: true });
    try {
      // It may have been aborted since it was looked at.
      signal.throwIfAborted();
      const onDownloaded = () => door.close();
      await importing.run({ source, capacityBytes, mostBytes }, { onOpened, onProgress, onDownloaded });
    } finally {
      signal.removeEventListener('abort', end);
      door.close();
      await end();
    }
    signal.throwIfAborted();
    await adopt(join(directory, IMPORT_FILES.disk), options.disk, capacityBytes);
  } finally {
    // A killed process may still write for a moment.
    await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}

/** Files of an earlier attempt are removed. */
async function emptyDirectory(directory: string, user: number | undefined): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if (user !== undefined) await chown(directory, user, user);
}

/**
 * Takes the result of processes that their input may have compromised: it is a file, not a way to another
 * one, and it is alone.
 */
async function adopt(result: string, disk: string, capacityBytes: number): Promise<void> {
  const file = await open(result, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((cause) => {
    throw new ImportError('Error', 'The importer left no disk', cause);
  });
  try {
    await assertOurs(file, capacityBytes);
    if (process.getuid?.() === 0) await file.chown(0, 0);
    await file.chmod(0o600);
    await mkdir(dirname(disk), { recursive: true });
    await rename(result, disk);
  } finally {
    await file.close();
  }
}

async function assertOurs(file: FileHandle, capacityBytes: number): Promise<void> {
  const status = await file.stat();
  const { buffer } = await file.read({ buffer: Buffer.alloc(104), position: 0 });
  const header = parseQcow2Header(buffer);
  const stands = header && !header.backingFile && !header.hasExternalData && header.encryption === 0;
  const fits = header && Math.abs(header.virtualSizeBytes - capacityBytes) < SECTOR_BYTES;
  if (status.isFile() && status.nlink === 1 && stands && fits) return;
  throw new ImportError('Error', 'The importer did not leave a self-contained disk of the requested size');
}
