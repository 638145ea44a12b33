import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../common/clock/clock.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { RawContent } from './disk-reading.ts';

/** Pauses before a content that was cut continues; after the last one without a byte it fails. */
const RETRY_MS = [500, 2_000, 5_000, 10_000, 20_000] as const;

/** How a content is read. */
export interface RemoteDiskOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The raw content of a disk on its cluster, from the first place that answers. Reads in ascending order take one request in
 * all; another order costs one for each step back or forth. An interrupted transfer continues where it was.
 */
export class RemoteDisk {
  readonly #places: readonly RawContent[];
  readonly #options: RemoteDiskOptions;
  #failures = 0;
  #chunks: AsyncIterator<Buffer> | undefined;
  /** Arrived, and not read yet; `#position` is where the next chunk belongs. */
  #held: Buffer = Buffer.alloc(0);
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

  /** The bytes there, in pieces. One read at a time. @throws ClusterUnavailable */
  async read(offset: number, length: number): Promise<readonly Buffer[]> {
    if (offset !== this.#position - this.#held.length) await this.#seek(offset);
    const pieces: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      if (this.#held.length === 0) await this.#arrive();
      const piece = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(piece.length);
      pieces.push(piece);
      missing -= piece.length;
    }
    return pieces;
  }

  /** Ends the transfer. */
  async close(): Promise<void> {
    await this.#chunks?.return?.();
  }

  async #seek(offset: number): Promise<void> {
    await this.close();
    this.#chunks = undefined;
    this.#held = Buffer.alloc(0);
    this.#position = offset;
  }

  /** Holds the next chunk. */
  async #arrive(): Promise<void> {
    const { clock, signal } = this.#options;
    for (;;) {
      const content = this.#places[this.#failures % this.#places.length];
      if (!content) throw new FarmError('ClusterUnavailable', 'The export of the cluster has no raw content.');
      try {
        this.#chunks ??= await this.#ask(content);
        const { done, value } = await this.#chunks.next();
        if (done) throw new Error('its answer ended too soon');
        this.#failures = 0;
        this.#held = value;
        this.#position += value.length;
        return;
      } catch (cause) {
        signal.throwIfAborted();
        this.#chunks = undefined;
        const pause = RETRY_MS[this.#failures];
        this.#failures += 1;
        const message = `Reading the disk from ${content.place}: ${errorMessage(cause)}`;
        if (pause === undefined) throw new FarmError('ClusterUnavailable', message, { cause });
        await clock.after(pause, signal);
      }
    }
  }

  async #ask(content: RawContent): Promise<AsyncIterator<Buffer>> {
    const offset = this.#position;
    const asked = await content.request(offset > 0 ? { range: `bytes=${offset}-` } : {}, this.#options.signal);
    // One that comes after the response ends that, too.
    asked.on('error', () => {});
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    if (response.statusCode !== (offset > 0 ? 206 : 200)) {
      response.destroy();
      throw new Error(`it answers with HTTP ${response.statusCode}`);
    }
    const left = Number(response.headers['content-length']);
    if (!Number.isSafeInteger(left)) throw new Error('its answer has no length');
    this.#sizeBytes = offset + left;
    return response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }
}
