import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { open, rename, rm, stat } from 'node:fs/promises';
import { addFile } from '../../common/blobs/file-hash.ts';
import { systemClock } from '../../common/clock/clock.ts';
import type { ExportView } from '../../common/contracts/exports.ts';
import { FarmError, wrapError } from '../../common/errors/farm-error.ts';
import { type Run, zeros } from '../../common/nbd/run.ts';
import type { FarmClient } from '../client/farm-client.ts';
import type { TransferLine } from '../output/transfer-line.ts';
import { WriteBehind } from './write-behind.ts';

/** Pauses before a download that was cut continues; after the last one without a byte it is given up. */
const RETRY_MS = [200, 1_000, 3_000, 5_000, 10_000, 20_000] as const;

/** An export whose file is there to be fetched. */
export interface ReadyExport extends ExportView {
  readonly sizeBytes: number;
  readonly sha256: string;
}

interface Receiver {
  readonly client: FarmClient;
  readonly line: TransferLine;
}

/**
 * Fetches the file of an export to `path`, and verifies it. The part that an interrupted command has fetched is kept beside it
 * under the hash of the file, and continued. Zeros take no room. @throws HashMismatch
 */
export async function receiveFile(receiver: Receiver, found: ReadyExport, path: string): Promise<void> {
  const part = `${path}.${found.sha256.slice(0, 12)}.part`;
  const hash = createHash('sha256');
  const offset = await hashPresent(part, hash);
  const file = await open(part, offset > 0 ? 'r+' : 'w');
  const writing = new WriteBehind(file);
  try {
    await receive(receiver, found, { hash, offset, write: (run, at) => writing.write(run, at) });
    await writing.end();
  } finally {
    await writing.settled();
    await file.close();
  }
  try {
    verify(found, hash);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await rename(part, path);
}

/** The same to a stream that cannot go back, such as standard output. */
export async function receiveStream(receiver: Receiver, found: ReadyExport, to: NodeJS.WritableStream): Promise<void> {
  const hash = createHash('sha256');
  const write = async ({ length, bytes }: Run) => {
    for (const piece of bytes ? [bytes] : zeros(length)) if (!to.write(piece)) await once(to, 'drain');
  };
  await receive(receiver, found, { hash, offset: 0, write });
  verify(found, hash);
}

interface Target {
  /** Hash of the content before `offset`. */
  readonly hash: Hash;
  readonly offset: number;
  write(run: Run, at: number): Promise<void>;
}

async function receive({ client, line }: Receiver, found: ReadyExport, { hash, offset, write }: Target): Promise<void> {
  let done = offset;
  for (let failures = 0; done < found.sizeBytes; ) {
    const before = done;
    try {
      for await (const run of client.images.exportContent(found.id, done)) {
        const written = write(run, done);
        for (const bytes of run.bytes ? [run.bytes] : zeros(run.length)) hash.update(bytes);
        await written;
        done += run.length;
        line.show(found.fileName, done, found.sizeBytes);
      }
    } catch (error) {
      failures = done > before ? 0 : failures + 1;
      const pause = RETRY_MS[failures];
      if (pause === undefined || !isPassing(error)) throw wrapError(error, `Fetching ${found.fileName}`);
      await systemClock.after(pause);
    }
  }
  line.clear();
}

/** Transient errors of the farm or of the connection; a connection that is cut is not an error of the farm's own. */
function isPassing(error: unknown): boolean {
  return !(error instanceof FarmError) || error.kind === 'unavailable' || error.kind === 'exhausted';
}

async function hashPresent(path: string, hash: Hash): Promise<number> {
  const present = await stat(path).catch(() => null);
  if (!present) return 0;
  await addFile(hash, path);
  return present.size;
}

function verify({ fileName, sha256 }: ReadyExport, hash: Hash): void {
  const received = hash.digest('hex');
  if (received === sha256) return;
  throw new FarmError(
    'HashMismatch',
    `The received content of ${fileName} has the SHA-256 ${received}, not ${sha256}.`,
    {
      details: { solve: 'Export it again: the received part was removed.' },
    },
  );
}
