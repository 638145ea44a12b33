import type { Readable } from 'node:stream';

/** Takes counted bytes from a stream. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(stream: Readable) {
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The next bytes, `length` of them. @throws Error when the stream ends before */
  async take(length: number): Promise<Buffer> {
    while (this.#heldBytes < length) {
      const { done, value } = await this.#chunks.next();
      if (done) throw new Error('The connection ended in the middle of a message');
      this.#held.push(value);
      this.#heldBytes += value.length;
    }
    const [first = Buffer.alloc(0)] = this.#held;
    const all = first.length >= length ? first : Buffer.concat(this.#held);
    const rest = all === first ? this.#held.slice(1) : [];
    this.#held = [all.subarray(length), ...rest].filter((chunk) => chunk.length > 0);
    this.#heldBytes -= length;
    return all.subarray(0, length);
  }
}
