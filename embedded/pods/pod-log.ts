import { watch } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { keptFrom } from '../host/bounded-log.ts';

const PIECE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** Which part of a log is read. */
export interface LogOptions {
  readonly follow: boolean;
  readonly tailLines?: number;
  /** Keep a line back until its newline is there, as virt-tail does. */
  readonly onlyWholeLines: boolean;
  readonly signal: AbortSignal;
  /** Whether the log is complete. */
  readonly hasEnded: () => boolean;
  /** Calls the listener when the log is complete. */
  readonly onEnd: (listener: () => void) => void;
}

/**
 * Reads the kept part of a log file and follows it until its writer has ended. An absent file is an empty log; a reader that
 * is slower than the writer misses parts that are removed meanwhile.
 */
export function readLog(path: string, options: LogOptions): Readable {
  return Readable.from(pieces(path, options), { objectMode: false });
}

async function* pieces(path: string, options: LogOptions): AsyncGenerator<Buffer> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return;
  try {
    let position = options.tailLines === undefined ? 0 : await tailStart(file, options.tailLines, options);
    const changes = watchChanges(path, options);
    try {
      for (;;) {
        const isLast = options.hasEnded() || !options.follow || options.signal.aborted;
        for (;;) {
          position = Math.max(position, keptFrom((await file.stat()).size));
          const read = await readAt(file, position);
          const piece = options.onlyWholeLines ? wholeLines(read) : read;
          if (piece.length === 0) break;
          position += piece.length;
          yield piece;
        }
        if (isLast) return;
        await changes.next();
      }
    } finally {
      changes.stop();
    }
  } finally {
    await file.close();
  }
}

/** A line that fills the buffer alone is not waited for. */
function wholeLines(piece: Buffer): Buffer {
  const end = piece.lastIndexOf(NEWLINE) + 1;
  return end === 0 && piece.length === PIECE_BYTES ? piece : piece.subarray(0, end);
}

async function readAt(file: FileHandle, position: number): Promise<Buffer> {
  const buffer = Buffer.alloc(PIECE_BYTES);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
  return buffer.subarray(0, bytesRead);
}

/** Where the last lines begin; looks at no more than the last MiB. */
async function tailStart(file: FileHandle, lines: number, { onlyWholeLines }: LogOptions): Promise<number> {
  const { size } = await file.stat();
  const length = Math.min(size, 1 << 20);
  const buffer = Buffer.alloc(length);
  await file.read(buffer, 0, length, size - length);
  let at = onlyWholeLines ? buffer.lastIndexOf(NEWLINE) + 1 : length;
  if (at === 0) return size - length;
  if (buffer[at - 1] === NEWLINE) at -= 1;
  for (let left = lines; left > 0 && at > 0; left--) at = buffer.lastIndexOf(NEWLINE, at - 1);
  return lines === 0 ? size : size - length + Math.max(0, at + 1);
}

/** Remembers a change that comes while there is no waiter. */
function watchChanges(path: string, { signal, onEnd }: LogOptions) {
  let isDirty = false;
  let wake: (() => void) | undefined;
  const notice = () => {
    isDirty = true;
    wake?.();
  };
  const watcher = watch(path, notice);
  signal.addEventListener('abort', notice, { once: true });
  onEnd(notice);
  return {
    next: async () => {
      if (!isDirty) await new Promise<void>((resolve) => (wake = resolve));
      isDirty = false;
      wake = undefined;
    },
    stop: () => watcher.close(),
  };
}
