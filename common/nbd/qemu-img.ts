import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import type { Duplex } from 'node:stream';
import { FarmError } from '../errors/farm-error.ts';
import { type NbdDisk, serveNbd } from './serve-nbd.ts';

const NICENESS = 10;

/** How `qemu-img` names the raw disk that is served to it. No format of its content is ever detected. */
export const SERVED_DISK = `json:${JSON.stringify({ driver: 'raw', file: { driver: 'nbd', server: { type: 'fd', str: '3' } } })}`;

/** A run of `qemu-img`. */
export interface QemuImgRun {
  /** What it sees as SERVED_DISK. */
  readonly disk: NbdDisk;
  readonly signal: AbortSignal;
}

/**
 * Runs `qemu-img` with a disk that this process serves, over a socket pair that ends with either of them.
 * @throws what the disk throws, InvalidConfig when the program is missing
 */
export async function runQemuImg(args: readonly string[], { disk, signal }: QemuImgRun): Promise<void> {
  const child = spawn('qemu-img', args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'], signal });
  if (child.pid !== undefined) setPriority(child.pid, NICENESS);
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk}`.slice(-2_000);
  });
  const connection = child.stdio[3] as Duplex;
  connection.on('error', () => {});
  let failure: { readonly cause: unknown } | undefined;
  const keep = (cause: unknown): never => {
    failure = { cause };
    throw cause;
  };
  const { sizeBytes, read, extent, write } = disk;
  const served: NbdDisk = {
    sizeBytes,
    ...(read ? { read: (offset, length) => read(offset, length).catch(keep) } : {}),
    ...(extent ? { extent: (offset, most) => extent(offset, most).catch(keep) } : {}),
    ...(write ? { write: (offset, pieces) => write(offset, pieces).catch(keep) } : {}),
  };
  serveNbd(connection, served)
    .catch(() => {})
    .finally(() => connection.destroy());
  await new Promise<void>((resolve, reject) => {
    child.on('error', (cause: NodeJS.ErrnoException) => {
      if (signal.aborted) return reject(signal.reason);
      const why = cause.code === 'ENOENT' ? 'is not installed beside this process' : 'could not be run';
      reject(new FarmError('InvalidConfig', `The program \`qemu-img\` ${why}: exports need it.`, { cause }));
    });
    child.on('close', (code) => {
      if (code === 0) return resolve();
      if (failure) return reject(failure.cause);
      reject(new FarmError('BrokenInvariant', `qemu-img ended with status ${code}: ${complaint.trim()}`));
    });
  });
}
