import { closeSync, fstatSync, openSync } from 'node:fs';
import { chmod, chown, constants, type FileHandle, lstat, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';

/*
 * Directories in which a process works that is confined and not trusted, and whose files this process, which is root, reads.
 * They belong to root and are sticky: the user of the process is their group, so it can make files of its own (sockets), and
 * can neither replace nor remove ours. Links that it made are never followed.
 */

/** Open for a path only (open(2)); Node.js does not export it. */
const O_PATH = 0o10_000_000;
const STICKY = 0o1000;

/** Creates the directory and removes foreign files of a former process, except directories. */
export async function shareDirectory(directory: string, user: number | undefined): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if (user === undefined) return;
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const status = await lstat(path);
    if (status.uid === user && !status.isDirectory()) await rm(path);
  }
  await chown(directory, 0, user);
  await chmod(directory, STICKY | 0o770);
}

/** Lets the user read and write the files of ours in the directory. */
export async function shareFiles(directory: string, user: number | undefined): Promise<void> {
  if (user === undefined) return;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isFile()) await shareFile(join(directory, entry.name), user);
  }
}

async function shareFile(path: string, user: number): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await share(file, user);
  } finally {
    await file.close();
  }
}

async function share(file: FileHandle, group: number): Promise<void> {
  await file.chown(0, group);
  await file.chmod(0o660);
}

/** A new file for the user to write to; its content is read by the same descriptor. */
export async function makeSharedFile(path: string): Promise<FileHandle> {
  const { gid, mode } = await stat(dirname(path));
  const file = await open(path, 'wx+', 0o600);
  if (mode & STICKY) await share(file, gid);
  return file;
}

/**
 * Begins to connect to a socket that the process listens at, which is a socket and not a link to another one.
 * @throws FarmError `ConnectionLost` when there is none
 */
export function openShared(path: string, options: { readonly allowHalfOpen?: boolean } = {}): Socket {
  const place = openPlace(path);
  const socket = connect({ path: `/proc/self/fd/${place}`, ...options });
  const close = () => {
    socket.off('connect', close).off('close', close);
    closeSync(place);
  };
  return socket.once('connect', close).once('close', close);
}

/** As `openShared`, for a socket with a listener. @throws FarmError `ConnectionLost` */
export async function connectShared(path: string): Promise<Socket> {
  const socket = openShared(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (cause) => reject(lost(path, cause)));
  });
  return socket;
}

function openPlace(path: string): number {
  try {
    const place = openSync(path, O_PATH | constants.O_NOFOLLOW);
    if (fstatSync(place).isSocket()) return place;
    closeSync(place);
  } catch (cause) {
    throw lost(path, cause);
  }
  throw lost(path, new Error('it is not a socket'));
}

function lost(path: string, cause: unknown): FarmError {
  return new FarmError('ConnectionLost', `No process listens at ${path}: ${errorMessage(cause)}`, { cause });
}
