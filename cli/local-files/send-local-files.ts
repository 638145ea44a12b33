import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { systemClock } from '../../common/clock/clock.ts';
import { FarmError, wrapError } from '../../common/errors/farm-error.ts';
import type { Accepted, FarmClient } from '../client/farm-client.ts';
import type { TransferLine } from '../output/transfer-line.ts';
import type { LocalContentFile } from './hash-local-files.ts';

/** Concurrent uploads. */
const CONCURRENCY = 4;
/** The requested contents may change during the upload: layers come and go. */
const MAX_ROUNDS = 4;
/** Pauses before an upload that was cut continues; after the last one it is given up. */
const RETRY_MS = [200, 1_000, 3_000, 5_000, 10_000, 20_000] as const;
/** For smaller files it is not worth asking whether an earlier upload was cut. */
const WORTH_ASKING_BYTES = 1024 ** 2;
const CHUNK_BYTES = 256 * 1024;

interface Sender {
  readonly client: FarmClient;
  /** By SHA-256. */
  readonly contents: ReadonlyMap<string, LocalContentFile>;
  readonly line: TransferLine;
}

/** Submits, and sends the local files that the farm asks for: only missing ones, and only for layers that are built. */
export async function submitWithFiles(sender: Sender, submit: () => Promise<Accepted>): Promise<Accepted> {
  for (let round = 1; ; round += 1) {
    try {
      return await submit();
    } catch (error) {
      const missing = missingOf(error);
      if (missing.length === 0 || round === MAX_ROUNDS) throw error;
      await sendAll(sender, missing);
    }
  }
}

function missingOf(error: unknown): readonly string[] {
  if (!(error instanceof FarmError) || error.code !== 'BlobMissing') return [];
  return z.array(z.string()).safeParse(error.details['missing']).data ?? [];
}

async function sendAll(sender: Sender, missing: readonly string[]): Promise<void> {
  const queue = missing.values();
  const work = async () => {
    for (const sha256 of queue) {
      const file = sender.contents.get(sha256);
      if (!file) throw new FarmError('BrokenInvariant', `The farm asks for ${sha256}, which no module names.`);
      await send(sender, sha256, file);
    }
  };
  try {
    await Promise.all(Array.from({ length: CONCURRENCY }, work));
  } finally {
    sender.line.clear();
  }
}

/** Sends one file; bytes that the farm already has are not sent again. */
async function send({ client, line }: Sender, sha256: string, file: LocalContentFile): Promise<void> {
  const { path, sizeBytes } = file;
  let isSpoiled = false;
  for (let failures = 0; ; failures += 1) {
    let offset = 0;
    try {
      const mayHaveSome = !isSpoiled && (failures > 0 || sizeBytes >= WORTH_ASKING_BYTES);
      const known = mayHaveSome ? await client.received(sha256) : { bytes: 0, isWhole: false };
      if (known.isWhole) return;
      offset = known.bytes;
      await assertUnchanged(file);
      await client.putBlob(sha256, { content: contentFrom(file, offset, line), offset, sizeBytes });
      return;
    } catch (error) {
      const pause = RETRY_MS[failures];
      // The part that the farm had was of another content.
      isSpoiled = offset > 0 && error instanceof FarmError && error.code === 'HashMismatch';
      if (pause === undefined || !(isSpoiled || isPassing(error))) throw wrapError(error, `Sending "${path}"`);
      await systemClock.after(pause);
    }
  }
}

function contentFrom(file: LocalContentFile, offset: number, line: TransferLine): Readable {
  return Readable.from(bytesFrom(file, offset, line), { objectMode: false });
}

async function* bytesFrom({ path, sizeBytes }: LocalContentFile, offset: number, line: TransferLine) {
  if (offset >= sizeBytes) return;
  let sentBytes = offset;
  for await (const chunk of createReadStream(path, { start: offset, end: sizeBytes - 1, highWaterMark: CHUNK_BYTES })) {
    sentBytes += chunk.length;
    line.show(`sending ${path}`, sentBytes, sizeBytes);
    yield chunk as Buffer;
  }
}

/** The hash decides in the end, but computing it takes too long for every file. */
async function assertUnchanged({ path, sizeBytes, modifiedMs }: LocalContentFile): Promise<void> {
  const now = await stat(path);
  if (now.size === sizeBytes && now.mtimeMs === modifiedMs) return;
  throw new FarmError('HashMismatch', 'the file changed after it was read; build again');
}

/** Whether it may be well the next time. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof FarmError)) return false;
  return ['FarmUnreachable', 'UploadConflict', 'TooManyRequests', 'RedisUnavailable'].includes(error.code);
}
