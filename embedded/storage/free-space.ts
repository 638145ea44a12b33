import { freeBytes } from '../host/file-facts.ts';
import { ImportError } from './import-error.ts';

/** Free space that imports reserve for other uses: layers that grow, logs, Redis. */
export const RESERVE_BYTES = 1024 ** 3;
/** A disk gives no warning before it is full, so its free space is read. */
const LOOK_AGAIN_MS = 250;

/** Refuses imports without enough space before they begin. @throws ImportError with the missing size */
export async function assertRoom(directory: string, neededBytes: number): Promise<void> {
  const spareBytes = (await freeBytes(directory)) - RESERVE_BYTES;
  if (neededBytes > spareBytes) throw tooLittleRoom(neededBytes, spareBytes);
}

/** Aborts the controller as soon as less than the reserve is free. Returns what stops watching. */
export function watchRoom(directory: string, controller: AbortController): () => void {
  const timer = setInterval(() => {
    void freeBytes(directory).then((free) => {
      if (free < RESERVE_BYTES) controller.abort(tooLittleRoom(0, free - RESERVE_BYTES));
    });
  }, LOOK_AGAIN_MS);
  return () => clearInterval(timer);
}

function tooLittleRoom(neededBytes: number, spareBytes: number): ImportError {
  const spare = `${mebibytes(Math.max(0, spareBytes))} are free besides the reserve of ${mebibytes(RESERVE_BYTES)}`;
  const need = neededBytes > 0 ? `it needs ${mebibytes(neededBytes)}, ` : '';
  const missing = `${need}${spare}: ${mebibytes(neededBytes - spareBytes)} are missing`;
  return new ImportError('Error', `Too little room for images on the disk of the cluster: ${missing}`);
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}
