import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { GuestConnection } from './guest-connection.ts';
import { quote } from './shell-words.ts';
import { refusedUpload } from './upload.ts';

/** Content of an uploaded folder. */
export interface Tree {
  /** Absolute path in the guest; made where it is not there. */
  readonly destination: string;
  readonly entries: readonly TreeEntry[];
}

export interface TreeEntry {
  /** Below the destination. */
  readonly path: string;
  /** Null: a folder. */
  readonly file: { readonly sizeBytes: number; readonly mode: number; readonly content: () => Readable } | null;
}

const FOLDER_MODE = 0o755;

/**
 * Streams a folder into the guest with the modes of its files, over existing files; it belongs to the account that logs in.
 * It needs `tar` in the guest. Call again after ConnectionLost.
 * @throws PhaseFailure GuestDiskFull, or StepFailed with the message of the guest.
 */
export async function uploadTree(guest: GuestConnection, { destination, entries }: Tree): Promise<void> {
  const target = quote(destination);
  const { channel, exited } = await guest.open(`mkdir -p ${target} && tar -x -p -o -f - -C ${target} && sync`);
  let complaint = '';
  channel.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString().slice(0, 4096 - complaint.length);
  });
  channel.resume();
  const archive = pack();
  const sent = Promise.all([fill(archive, entries), pipeline(archive, channel)]).then(
    () => undefined,
    (error: unknown) => error,
  );
  // A guest that refuses the files ends the command before it has read everything.
  const exitCode = await exited;
  archive.destroy();
  const broken = await sent;
  if (exitCode !== 0) {
    // An archive that broke off at this end makes tar complain too.
    if (broken instanceof FarmError) throw broken;
    throw refusedUpload(destination, complaint.trim());
  }
  if (broken) throw new FarmError('ConnectionLost', 'The connection was lost during the upload.', { cause: broken });
}

async function fill(archive: Pack, entries: readonly TreeEntry[]): Promise<void> {
  try {
    for (const { path, file } of entries) await add(archive, path, file);
    archive.finalize();
  } catch (error) {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

async function add(archive: Pack, name: string, file: TreeEntry['file']): Promise<void> {
  if (!file) {
    archive.entry({ name: `${name}/`, type: 'directory', mode: FOLDER_MODE });
    return;
  }
  const { sizeBytes, mode, content } = file;
  await pipeline(content(), archive.entry({ name, size: sizeBytes, mode }));
}
