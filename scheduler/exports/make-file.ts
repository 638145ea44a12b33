import { hashOfFile } from '../../common/blobs/file-hash.ts';
import { systemClock } from '../../common/clock/clock.ts';
import type { ExportFormat } from '../../common/contracts/exports.ts';
import { convertDisk } from './convert-disk.ts';
import type { DiskPlace } from './disk-reading.ts';
import { linkedContent } from './linked-content.ts';
import type { RawContent } from './raw-content.ts';
import { RemoteDisk } from './remote-disk.ts';
import { writeRaw } from './write-raw.ts';

/** A disk that becomes a file. */
export interface FileTask {
  /** Where it is read: at the first one that answers. */
  readonly places: readonly DiskPlace[];
  readonly format: ExportFormat;
  readonly to: string;
}

/** How a task is watched and ended. */
export interface FileWork {
  readonly signal: AbortSignal;
  onProgress(percent: number): void;
}

/** Writes a disk to a file while it arrives, and returns the SHA-256 of the file. @throws ClusterUnavailable, InvalidConfig */
export async function makeFile({ places, format, to }: FileTask, { signal, onProgress }: FileWork): Promise<string> {
  const disk = await RemoteDisk.open(await Promise.all(places.map(contentOf)), { clock: systemClock, signal });
  try {
    if (format === 'raw') return await writeRaw(disk, to, onProgress);
    await convertDisk(disk, { to, format, signal, onProgress });
  } finally {
    await disk.close();
  }
  return await hashOfFile(to);
}

/** The client of Kubernetes is large: only what reads from a pod has it. */
async function contentOf(place: DiskPlace): Promise<RawContent> {
  if ('url' in place) return linkedContent(place);
  const { podContent } = await import('./pod-content.ts');
  return podContent(place);
}
