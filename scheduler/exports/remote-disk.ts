import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../common/clock/clock.ts';
import { assert, errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { type Run, runOf, splitRun } from '../../common/nbd/run.ts';
import type { Extent } from '../../common/nbd/serve-nbd.ts';
import { readSparse, SPARSE_TYPE } from '../../common/nbd/sparse-stream.ts';
import type { RawContent } from './raw-content.ts';

/** Pauses before a content that was cut continues; after the last one without a byte it fails. */
const RETRY_MS = [500, 2_000, 5_000, 10_000, 20_000] as const;

/** What is reported as data at once: of what has not arrived, and of what has. */
const UNKNOWN_BYTES = 64 * 1024 ** 2;
const DATA_BYTES = 2 * 1024 ** 2;
/** Zeros end at a multiple of it, as readers want it: the sectors of any disk. */
const ALIGNMENT = 4096;

/** How a content is read. */
export interface RemoteDiskOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The content of a disk on its cluster, from the first place that answers. Reads in ascending order take one request in all;
 * another order costs one for each step back or forth. An interrupted transfer continues where it was. Zeros are not
 * transferred by places that can leave them out.
 */
export class RemoteDisk {
  readonly #places: readonly RawContent[];
  readonly #options: RemoteDiskOptions;
  #failures = 0;
  #runs: AsyncIterator<Run> | undefined;
  /** Arrived, and not read yet: from `#start` to `#position`. */
  #held: Run[] = [];
  #start = 0;
  #position = 0;
  #sizeBytes = 0;

  private constructor(places: readonly RawContent[], options: RemoteDiskOptions) {
    this.#places = places;
    this.#options = options;
  }

  /** Resolves with the first bytes of the content. @throws ClusterUnavailable */
  static async open(places: readonly RawContent[], options: RemoteDiskOptions): Promise<RemoteDisk> {
    const disk = new RemoteDisk(places, options);
    await disk.#arrive();
    return disk;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The bytes there. One read at a time. @throws ClusterUnavailable */
  async read(offset: number, length: number): Promise<readonly Run[]> {
    await this.#goTo(offset);
    const runs: Run[] = [];
    for (let missing = length; missing > 0; ) {
      if (this.#held.length === 0) await this.#arrive();
      const run = this.#take(missing);
      runs.push(run);
      missing -= run.length;
    }
    return runs;
  }

  /**
   * What is at a place. Zeros are known only where the transfer is, and are waited for there; elsewhere all is reported as data.
   * @throws ClusterUnavailable
   */
  async extent(offset: number, most: number): Promise<Extent> {
    const isThere = offset >= this.#start && offset <= this.#position;
    const asked = Math.min(most, this.#sizeBytes - offset);
    // Any number of zeros is held at no cost; data is not.
    const mayWait = () => this.#held.every(({ bytes }) => bytes === null);
    while (isThere && mayWait() && this.#position - offset < Math.min(asked, UNKNOWN_BYTES)) await this.#arrive();
    if (!isThere || offset === this.#position) return { length: Math.min(asked, UNKNOWN_BYTES), isZero: false };
    let end = this.#start;
    for (const { length, bytes } of this.#held) {
      end += length;
      if (end <= offset) continue;
      const zeros = bytes === null ? Math.min(asked, end - (end % ALIGNMENT) - offset) : 0;
      if (zeros > 0) return { length: zeros, isZero: true };
      break;
    }
    return { length: Math.min(asked, DATA_BYTES), isZero: false };
  }

  /** Ends the transfer. */
  async close(): Promise<void> {
    await this.#runs?.return?.();
  }

  async #goTo(offset: number): Promise<void> {
    if (offset < this.#start || offset > this.#position) {
      await this.close();
      this.#runs = undefined;
      this.#held = [];
      this.#start = offset;
      this.#position = offset;
    }
    while (this.#start < offset) this.#take(offset - this.#start);
  }

  /** The next bytes that are held, `most` of them. */
  #take(most: number): Run {
    const first = this.#held.shift();
    assert(first, 'Bytes are taken from what has arrived.');
    const [run, rest] = first.length > most ? splitRun(first, most) : [first];
    if (rest) this.#held.unshift(rest);
    this.#start += run.length;
    return run;
  }

  #hold(run: Run): void {
    const last = this.#held.at(-1);
    if (last?.bytes === null && run.bytes === null) {
      this.#held[this.#held.length - 1] = { length: last.length + run.length, bytes: null };
    } else this.#held.push(run);
    this.#position += run.length;
  }

  /** Holds the next bytes. */
  async #arrive(): Promise<void> {
    const { clock, signal } = this.#options;
    for (;;) {
      const content = this.#places[this.#failures % this.#places.length];
      if (!content) throw new FarmError('ClusterUnavailable', 'The export of the cluster has no raw content.');
      try {
        this.#runs ??= await this.#ask(content);
        const { done, value } = await this.#runs.next();
        if (done) throw new Error('its answer ended too soon');
        this.#failures = 0;
        return this.#hold(value);
      } catch (cause) {
        signal.throwIfAborted();
        this.#runs = undefined;
        const pause = RETRY_MS[this.#failures];
        this.#failures += 1;
        const message = `Reading the disk from ${content.place}: ${errorMessage(cause)}`;
        if (pause === undefined) throw new FarmError('ClusterUnavailable', message, { cause });
        await clock.after(pause, signal);
      }
    }
  }

  async #ask(content: RawContent): Promise<AsyncIterator<Run>> {
    const offset = this.#position;
    const headers = { accept: `${SPARSE_TYPE}, */*;q=0.5`, ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) };
    const asked = await content.request(headers, this.#options.signal);
    // One that comes after the response ends that, too.
    asked.on('error', () => {});
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    if (response.statusCode !== (offset > 0 ? 206 : 200)) {
      response.destroy();
      throw new Error(`it answers with HTTP ${response.statusCode}`);
    }
    if (response.headers['content-type'] === SPARSE_TYPE) {
      const { sizeBytes, runs } = await readSparse(response, offset);
      this.#sizeBytes = sizeBytes;
      return runs;
    }
    const left = Number(response.headers['content-length']);
    if (!Number.isSafeInteger(left)) throw new Error('its answer has no length');
    this.#sizeBytes = offset + left;
    return runsOf(response);
  }
}

async function* runsOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Run> {
  for await (const chunk of chunks) yield runOf(chunk);
}
