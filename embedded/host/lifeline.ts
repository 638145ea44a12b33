import { closeSync, constants, openSync, readSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { runCommand } from './run-command.ts';

/*
 * How the server sees the end of a process that outlives it and has no connection to it: the process inherits a named pipe,
 * which its end closes, whichever of its wrappers dies. The next server opens the same pipe.
 */

/** Makes the pipe. The process is to inherit the descriptor that this returns; the caller then closes it. */
export async function makeLifeline(path: string): Promise<number> {
  await rm(path, { force: true });
  await runCommand('mkfifo', ['-m', '600', path]);
  return openSync(path, 'r+');
}

/** Calls `onEnd` when no process has the pipe open any more; returns how to stop that. */
export function followLifeline(path: string, onEnd: () => void): () => void {
  const pipe = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  // The kernel reports no end of a pipe that was closed before it was opened here.
  if (isAbandoned(pipe)) {
    closeSync(pipe);
    onEnd();
    return () => {};
  }
  const socket = new Socket({ fd: pipe, readable: true, writable: false });
  // Nothing is ever written to it, except by a process that was taken over.
  socket.on('error', () => {}).once('data', () => socket.destroy());
  socket.once('close', onEnd);
  return () => {
    socket.off('close', onEnd);
    socket.destroy();
  };
}

function isAbandoned(pipe: number): boolean {
  try {
    return readSync(pipe, Buffer.alloc(1)) === 0;
  } catch {
    return false; // EAGAIN: there is a writer.
  }
}
