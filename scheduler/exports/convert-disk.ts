import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import type { ExportFormat } from '../../common/contracts/exports.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Compressed where the format can be; a VHDX cannot. */
const ARGUMENTS: Readonly<Record<Exclude<ExportFormat, 'raw'>, readonly string[]>> = {
  qcow2: ['-c', '-O', 'qcow2'],
  vmdk: ['-c', '-O', 'vmdk', '-o', 'subformat=streamOptimized'],
  vhdx: ['-O', 'vhdx', '-o', 'subformat=dynamic'],
};
/** Resource limit of `qemu-img`. */
const THREADS = ['-m', '16', '-W'];
const NICENESS = 10;

interface Conversion {
  readonly from: string;
  readonly to: string;
  readonly format: Exclude<ExportFormat, 'raw'>;
  readonly signal: AbortSignal;
  onProgress(percent: number): void;
}

/** Writes a raw disk in another format. The content belongs to the guest: its format is never detected. */
export async function convertDisk({ from, to, format, signal, onProgress }: Conversion): Promise<void> {
  const args = ['convert', '-p', ...THREADS, '-f', 'raw', ...ARGUMENTS[format], from, to];
  const child = spawn('qemu-img', args, { stdio: ['ignore', 'pipe', 'pipe'], signal });
  if (child.pid !== undefined) setPriority(child.pid, NICENESS);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-2_000);
  });
  child.stdout.on('data', (chunk: Buffer) => {
    const percent = /\((\d+)\.\d+\/100%\)\s*$/.exec(String(chunk))?.[1];
    if (percent !== undefined) onProgress(Number(percent));
  });
  await new Promise<void>((resolve, reject) => {
    child.on('error', (cause: NodeJS.ErrnoException) => {
      if (signal.aborted) return reject(signal.reason);
      const isMissing = cause.code === 'ENOENT';
      const message = isMissing
        ? 'The program `qemu-img` is not installed beside the scheduler'
        : 'qemu-img could not be run';
      reject(new FarmError('InvalidConfig', `${message}: exports need it to convert disks.`, { cause }));
    });
    child.on('close', (code) => {
      if (code === 0) return resolve();
      reject(new FarmError('BrokenInvariant', `qemu-img ended with status ${code}: ${said.trim()}`));
    });
  });
}
