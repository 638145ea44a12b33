import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { hashOfFile } from '../../common/blobs/file-hash.ts';

/** A file that guests may fetch. */
export interface ShelvedFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/** Why a file was not taken. */
export class ShelfRefusal extends Error {
  readonly status: 413 | 422;

  constructor(status: 413 | 422, message: string) {
    super(message);
    this.status = status;
  }
}

const PART_SUFFIX = '.part';

/**
 * The files of a relay. Only names that were put exist; a name is never used as a path. Files in the directory from
 * before a restart of the container are found again, incomplete ones are removed.
 */
export class FileShelf {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #files = new Map<string, ShelvedFile>();

  private constructor(directory: string, maxBytes: number) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
  }

  /** `maxBytes` bounds all files together. */
  static async open(directory: string, maxBytes: number): Promise<FileShelf> {
    const shelf = new FileShelf(directory, maxBytes);
    await mkdir(directory, { recursive: true });
    for (const entry of await readdir(directory)) {
      const path = join(directory, entry);
      if (entry.endsWith(PART_SUFFIX)) await rm(path, { force: true });
      else shelf.#files.set(decodeURIComponent(entry), await measure(path));
    }
    return shelf;
  }

  get(name: string): ShelvedFile | undefined {
    return this.#files.get(name);
  }

  /** SHA-256 of every file by name. */
  hashes(): Record<string, string> {
    return Object.fromEntries([...this.#files].map(([name, { sha256 }]) => [name, sha256]));
  }

  /** Takes a file whole or not at all. @throws ShelfRefusal when it is too large or differs from its announcement. */
  async put(name: string, content: Readable, sha256: string): Promise<void> {
    const others = [...this.#files].filter(([other]) => other !== name);
    const room = this.#maxBytes - others.reduce((sum, [, { sizeBytes }]) => sum + sizeBytes, 0);
    const entry = encodeURIComponent(name);
    const part = join(this.#directory, `${entry.slice(0, 200)}.${randomBytes(6).toString('hex')}${PART_SUFFIX}`);
    const meter = new Meter(room);
    try {
      await pipeline(content, meter, createWriteStream(part, { mode: 0o600 }));
      const actual = meter.sha256();
      if (actual !== sha256) throw new ShelfRefusal(422, `"${name}" has SHA-256 ${actual}, expected ${sha256}`);
      const path = join(this.#directory, entry);
      await rename(part, path);
      this.#files.set(name, { path, sizeBytes: meter.sizeBytes, sha256 });
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  }
}

/** Hashes and counts what flows through, up to a limit. */
class Meter extends Transform {
  readonly #hash = createHash('sha256');
  readonly #maxBytes: number;
  sizeBytes = 0;

  constructor(maxBytes: number) {
    super();
    this.#maxBytes = maxBytes;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null, data?: Buffer) => void) {
    this.sizeBytes += chunk.length;
    if (this.sizeBytes > this.#maxBytes) {
      done(new ShelfRefusal(413, `The file is larger than the ${this.#maxBytes} bytes that the relay has left`));
      return;
    }
    this.#hash.update(chunk);
    done(null, chunk);
  }

  sha256(): string {
    return this.#hash.digest('hex');
  }
}

async function measure(path: string): Promise<ShelvedFile> {
  return { path, sizeBytes: (await stat(path)).size, sha256: await hashOfFile(path) };
}
