import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { runQemuImg, SERVED_DISK } from '../../common/nbd/qemu-img.ts';
import type { DiskPart } from '../../common/nbd/sparse-stream.ts';

/** Of QEMU's driver `raw`: its offset is a multiple of this. */
const SECTOR = 512;
/** Fewer zeros are written as data: each hole is a message more. */
const LEAST_HOLE = '64k';

/** A qcow2 file, whose headers have been checked. */
interface Disk {
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * Writes a part of a disk to a stream, without a file of all of it: `qemu-img` writes it in ascending order to a disk that
 * this process serves. What it leaves out is zero. A machine may use the disk meanwhile.
 */
export async function streamRaw(
  { path, sizeBytes }: Disk,
  to: Writable,
  { start, end, encoding, signal }: DiskPart,
): Promise<void> {
  const from = start - (start % SECTOR);
  const qcow2 = { driver: 'qcow2', file: { driver: 'file', filename: path } };
  const source = `json:${JSON.stringify({ driver: 'raw', offset: from, file: qcow2 })}`;
  const whole = new AbortController();
  let position = start;
  const emit = async (pieces: Iterable<Buffer>) => {
    for (const piece of pieces) if (!to.write(piece)) await once(to, 'drain', { signal });
  };
  const fill = async (until: number) => {
    if (until <= position) return;
    await emit(encoding.zeros(until - position));
    position = until;
  };
  const write = async (offset: number, pieces: readonly Buffer[]) => {
    await fill(Math.min(from + offset, end + 1));
    const wanted = partOf(pieces, { from: position - from - offset, to: end + 1 - from - offset });
    const length = wanted.reduce((sum, piece) => sum + piece.length, 0);
    if (length > 0) await emit(encoding.data(position, wanted));
    position += length;
    if (position > end) whole.abort();
  };
  const args = ['convert', '-U', '-n', '--target-is-zero', '-S', LEAST_HOLE, '-O', 'raw', source, SERVED_DISK];
  const disk = { sizeBytes: sizeBytes - from, write };
  await emit(encoding.head(sizeBytes));
  await runQemuImg(args, { disk, signal: anySignal(signal, whole.signal) }).catch((error: unknown) => {
    if (!whole.signal.aborted) throw error;
  });
  await fill(end + 1);
  await emit(encoding.tail(end + 1));
}

/** What lies between two places of all pieces. */
function partOf(
  pieces: readonly Buffer[],
  { from, to }: { readonly from: number; readonly to: number },
): readonly Buffer[] {
  let at = 0;
  return pieces.flatMap((piece) => {
    const part = piece.subarray(Math.max(0, from - at), Math.max(0, to - at));
    at += piece.length;
    return part.length > 0 ? [part] : [];
  });
}
