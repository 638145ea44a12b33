/** Takes counted bytes from a stream. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next bytes, `length` of them. @throws Error when the stream ends before */
  async take(length: number): Promise<Buffer> {
    while (this.#heldBytes < length) await this.#arrive();
    const [first = Buffer.alloc(0)] = this.#held;
    const all = first.length >= length ? first : Buffer.concat(this.#held);
    const rest = all === first ? this.#held.slice(1) : [];
    this.#held = [all.subarray(length), ...rest].filter((chunk) => chunk.length > 0);
    this.#heldBytes -= length;
    return all.subarray(0, length);
  }

  /** The same in the pieces that have arrived, each as soon as it is there. @throws Error when the stream ends before */
  async *pieces(length: number): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0; ) {
      if (this.#held.length === 0) await this.#arrive();
      const piece = await this.take(Math.min(missing, this.#held[0]?.length ?? 0));
      missing -= piece.length;
      yield piece;
    }
  }

  /** Ends the stream. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #arrive(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done) throw new Error('The stream ended in the middle of a message');
    if (value.length === 0) return;
    this.#held.push(value);
    this.#heldBytes += value.length;
  }
}
