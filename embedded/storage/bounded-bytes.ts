import { Transform, type TransformCallback } from 'node:stream';
import { sourceTooLarge } from './import-error.ts';

/** Counts the bytes that pass, and breaks off when they are more than a volume can need. */
export class BoundedBytes extends Transform {
  count = 0;
  readonly #mostBytes: number;
  readonly #what: string;
  readonly #onChunk: (chunk: Buffer, count: number) => void;

  /** `what` begins the sentence that refuses them: `the source has`. */
  constructor(mostBytes: number, what: string, onChunk: (chunk: Buffer, count: number) => void = () => {}) {
    super();
    this.#mostBytes = mostBytes;
    this.#what = what;
    this.#onChunk = onChunk;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.count += chunk.length;
    this.#onChunk(chunk, this.count);
    done(
      this.count > this.#mostBytes ? sourceTooLarge(`${this.#what} more than ${this.#mostBytes} bytes`) : null,
      chunk,
    );
  }
}
