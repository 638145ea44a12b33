import { execFile } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** A log is let go of in parts of this size. */
export const LOG_PART = 4 * 1024 ** 2;

const PAUSE_MS = 500;

/**
 * Start of the part of a log that is kept: its last 4 to 8 MiB, as kubelet keeps the last rotated part. Places in the log stay
 * the same; the part before it takes no space on the disk.
 */
export function keptFrom(size: number): number {
  return Math.max(0, Math.floor(size / LOG_PART) - 1) * LOG_PART;
}

/**
 * Frees the disk space of a log before the part that is kept, whenever it has grown by another part. Its writer, QEMU, need not
 * know: it continues appending. `onTrouble` hears why that does not work, as on a file system without holes, once until it works again.
 * Returns what ends this.
 */
export function boundLog(path: string, onTrouble: (error: unknown) => void): () => void {
  let freedTo = 0;
  let isBusy = false;
  let isDirty = false;
  let isInTrouble = false;
  const look = async () => {
    const from = keptFrom((await stat(path)).size);
    if (from <= freedTo) return;
    await promisify(execFile)('fallocate', ['--punch-hole', '--offset', '0', '--length', String(from), path]);
    freedTo = from;
    isInTrouble = false;
  };
  const report = (error: unknown) => {
    // With a machine that is removed its log goes.
    if (isInTrouble || !existsSync(path)) return;
    isInTrouble = true;
    onTrouble(error);
  };
  const notice = async () => {
    isDirty = true;
    if (isBusy) return;
    isBusy = true;
    while (isDirty) {
      isDirty = false;
      await look().catch(report);
      // A guest that talks fast changes its log thousands of times a second.
      await delay(PAUSE_MS, undefined, { ref: false });
    }
    isBusy = false;
  };
  const watcher = watch(path, () => void notice());
  watcher.on('error', report);
  void notice();
  return () => watcher.close();
}
