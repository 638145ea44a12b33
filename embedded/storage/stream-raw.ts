import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { runQemuImg, SERVED_DISK } from '../../common/nbd/qemu-img.ts';

const ZEROS = Buffer.alloc(1024 ** 2);
/** Of QEMU's driver `raw`: its offset is a multiple of this. */
const SECTOR = 512;

/** A qcow2 file, whose headers have been checked. */
interface Disk {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Bytes of the raw content, both ends included. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly signal: AbortSignal;
}

/**
 * Writes a part of the raw content of a disk to a stream, without a file of all of it: `qemu-img` writes it in ascending
 * order to a disk that this process serves. What it leaves out is zero. A machine may use the disk meanwhile.
 */
export async function streamRaw({ path, sizeBytes }: Disk, to: Writable, { start, end, signal }: Part): Promise<void> {
  const from = start - (start % SECTOR);
  const qcow2 = { driver: 'qcow2', file: { driver: 'file', filename: path } };
  const source = `json:${JSON.stringify({ driver: 'raw', offset: from, file: qcow2 })}`;
  const whole = new AbortController();
  let position = start;
  const emit = async (bytes: Buffer) => {
    position += bytes.length;
    if (!to.write(bytes)) await once(to, 'drain', { signal });
    if (position > end) whole.abort();
  };
  const fill = async (until: number) => {
    while (position < until) await emit(ZEROS.subarray(0, until - position));
  };
  const write = async (offset: number, bytes: Buffer) => {
    const at = from + offset;
    await fill(Math.min(at, end + 1));
    const wanted = bytes.subarray(Math.max(0, position - at), Math.max(0, end + 1 - at));
    if (wanted.length > 0) await emit(wanted);
  };
  const args = ['convert', '-U', '-n', '--target-is-zero', '-O', 'raw', source, SERVED_DISK];
  const disk = { sizeBytes: sizeBytes - from, write };
  await runQemuImg(args, { disk, signal: AbortSignal.any([signal, whole.signal]) }).catch((error: unknown) => {
    if (!whole.signal.aborted) throw error;
  });
  await fill(end + 1);
}
