import { spawn } from 'node:child_process';
import { FarmError } from '../../common/errors/farm-error.ts';

/** How a command of the host is run. */
export interface CommandOptions {
  /** Written to its standard input. */
  readonly input?: string;
  /** Ends the command. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a command of the host (`ip`, `nft`, `qemu-img`, ...) and resolves with its standard output. A command that is not
 * installed rejects with `ClusterUnfit`, one that fails with `BrokenInvariant` and its standard error.
 */
export function runCommand(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', (cause: NodeJS.ErrnoException) => {
      const missing = cause.code === 'ENOENT' || cause.code === 'EACCES';
      const message = missing ? `The command "${command}" is not installed` : `"${command}" could not be run`;
      reject(new FarmError(missing ? 'ClusterUnfit' : 'BrokenInvariant', message, { cause }));
    });
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(stdout).toString());
      const complaint = Buffer.concat(stderr).toString().trim();
      const line = [command, ...args].join(' ');
      reject(new FarmError('BrokenInvariant', `"${line}" ended with ${signal ?? `status ${code}`}: ${complaint}`));
    });
    // A command that ends without reading its input is judged by its status, not by the broken pipe.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}
