/** How a peer is understood: yields the number of bytes that it needs next and is given exactly these. */
export type ByteProtocol = Generator<number, void, Buffer>;

/**
 * Feeds bytes to a protocol, however they are cut. It buffers only the bytes just received and those that the protocol
 * requested. Exceptions of the protocol are thrown by `push`.
 */
export class ByteFeed {
  readonly #protocol: ByteProtocol;
  #held: Buffer = Buffer.alloc(0);
  #needed: number;

  constructor(protocol: ByteProtocol) {
    this.#protocol = protocol;
    this.#needed = this.#advance();
  }

  push(bytes: Buffer): void {
    let rest = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    while (rest.length >= this.#needed) {
      const [part, after] = [rest.subarray(0, this.#needed), rest.subarray(this.#needed)];
      rest = after;
      this.#needed = this.#advance(part);
    }
    this.#held = rest;
  }

  /** A protocol that has ended needs more than there will ever be. */
  #advance(part?: Buffer): number {
    const step = part === undefined ? this.#protocol.next(Buffer.alloc(0)) : this.#protocol.next(part);
    return step.done ? Number.POSITIVE_INFINITY : step.value;
  }
}
