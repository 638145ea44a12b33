import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Clock } from '../../common/clock/clock.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { RawContent } from './exported-disk.ts';

/** Pauses before a content that was cut goes on; after the last one without a byte it is given up. */
const RETRY_MS = [500, 2_000, 5_000, 10_000, 20_000] as const;
const SILENCE_MS = 60_000;
const ZEROS = Buffer.alloc(64 * 1024);
/** TLS hands on pieces of 16 KiB, too small to wait for the disk with each. */
const WRITE_BYTES = 1024 ** 2;

/** How a content is read; `onProgress` hears bytes so far and bytes of all. */
export interface ReadOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  onProgress(doneBytes: number, totalBytes: number): void;
}

/**
 * Writes a content to a sparse file, from the first place that answers; an interrupted transfer continues where it
 * was. @throws ClusterUnavailable
 */
export async function readRaw(places: readonly RawContent[], path: string, options: ReadOptions): Promise<void> {
  const file = await open(path, 'w', 0o600);
  const state = { doneBytes: 0, totalBytes: Number.POSITIVE_INFINITY };
  try {
    for (let failures = 0; state.doneBytes < state.totalBytes; ) {
      const before = state.doneBytes;
      const place = places[failures % places.length];
      if (!place) throw new FarmError('ClusterUnavailable', 'The export of the cluster has no raw content.');
      try {
        await readSome(place, file, { ...options, state });
      } catch (cause) {
        options.signal.throwIfAborted();
        if (isOfTheFile(cause)) throw cause;
        failures = state.doneBytes > before ? 0 : failures + 1;
        const pause = RETRY_MS[failures];
        const message = `Reading the disk from ${new URL(place.url).host}: ${errorMessage(cause)}`;
        if (pause === undefined) throw new FarmError('ClusterUnavailable', message, { cause });
        await options.clock.after(pause, options.signal);
      }
    }
    await file.truncate(state.totalBytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

interface Reading extends ReadOptions {
  readonly state: { doneBytes: number; totalBytes: number };
}

async function readSome(place: RawContent, file: FileHandle, reading: Reading): Promise<void> {
  const { state, onProgress } = reading;
  const response = await ask(place, state.doneBytes, reading.signal);
  state.totalBytes = sizeOf(response, state.doneBytes);
  const held: Buffer[] = [];
  let heldBytes = 0;
  const write = async () => {
    if (heldBytes > 0) await file.writev(held.splice(0), state.doneBytes);
    state.doneBytes += heldBytes;
    heldBytes = 0;
  };
  for await (const chunk of response as AsyncIterable<Buffer>) {
    const isHole = isZero(chunk);
    if (!isHole) {
      held.push(chunk);
      heldBytes += chunk.length;
    }
    if (isHole || heldBytes >= WRITE_BYTES) await write();
    if (isHole) state.doneBytes += chunk.length;
    onProgress(state.doneBytes, state.totalBytes);
  }
  await write();
}

async function ask({ url, certificates, token }: RawContent, offset: number, signal: AbortSignal) {
  const headers = { 'x-kubevirt-export-token': token, ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) };
  const asked = request(url, { ...(certificates === '' ? {} : { ca: certificates }), headers, signal });
  asked.setTimeout(SILENCE_MS, () => asked.destroy(new Error(`no byte for ${SILENCE_MS / 1000} s`)));
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  if (response.statusCode === (offset > 0 ? 206 : 200)) return response;
  response.destroy();
  throw new Error(`it answers with HTTP ${response.statusCode}`);
}

function sizeOf({ headers }: IncomingMessage, offset: number): number {
  const size = Number(headers['content-length']);
  if (!Number.isSafeInteger(size)) throw new Error('its answer has no length');
  return offset + size;
}

function isZero(chunk: Buffer): boolean {
  for (let at = 0; at < chunk.length; at += ZEROS.length) {
    const piece = chunk.subarray(at, at + ZEROS.length);
    if (!piece.equals(ZEROS.subarray(0, piece.length))) return false;
  }
  return true;
}

/** A full disk does not become emptier by asking the cluster again. */
function isOfTheFile(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && (error.syscall === 'write' || error.syscall === 'open');
}
