import type { ExportFormat } from '../../common/contracts/exports.ts';
import { runQemuImg, SERVED_DISK } from '../../common/nbd/qemu-img.ts';
import type { RemoteDisk } from './remote-disk.ts';

/** Compressed where the format can be; a VHDX cannot. */
const ARGUMENTS: Readonly<Record<Exclude<ExportFormat, 'raw'>, readonly string[]>> = {
  qcow2: ['-c', '-O', 'qcow2'],
  vmdk: ['-c', '-O', 'vmdk', '-o', 'subformat=streamOptimized'],
  vhdx: ['-O', 'vhdx', '-o', 'subformat=dynamic'],
};
/** Resource limit of `qemu-img`. */
const THREADS = ['-m', '16', '-W'];

interface Conversion {
  readonly to: string;
  readonly format: Exclude<ExportFormat, 'raw'>;
  readonly signal: AbortSignal;
  onProgress(percent: number): void;
}

/** Writes a disk in another format while it arrives. */
export async function convertDisk(disk: RemoteDisk, { to, format, signal, onProgress }: Conversion): Promise<void> {
  const args = ['convert', ...THREADS, ...ARGUMENTS[format], SERVED_DISK, to];
  const { sizeBytes } = disk;
  const read = (offset: number, length: number) => {
    onProgress(Math.floor((100 * offset) / sizeBytes));
    return disk.read(offset, length);
  };
  const extent = (offset: number, most: number) => disk.extent(offset, most);
  await runQemuImg(args, { disk: { sizeBytes, read, extent }, signal });
}
