import type { Duplex } from 'node:stream';
import { FarmError } from '../errors/farm-error.ts';
import type { ConsoleFront, ConsoleSession, ViewerOptions } from './console-front.ts';

/** The part of the earlier output that a new viewer sees: one screen of a terminal. */
const HISTORY_BYTES = 8 * 1024;
/** A viewer that reads slower than this is sent away, and a machine that does gets no more input. */
const MOST_BACKLOG = 1024 * 1024;

/** A serial console: bytes as they are in both directions, the same for all who look. */
export class SharedSerial implements ConsoleFront {
  readonly #viewers = new Set<Duplex>();
  readonly #onViewers: (count: number) => void;
  #source: Duplex | undefined;
  #history = Buffer.alloc(0);

  /** `onViewers` hears how many there are whenever that changes. */
  constructor(onViewers: (count: number) => void = () => {}) {
    this.#onViewers = onViewers;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  attach(stream: Duplex, { mayType, onEnd }: ViewerOptions): void {
    let cause: Error | undefined;
    stream.on('error', (error: Error) => {
      cause = error;
    });
    stream.on('data', (bytes: Buffer) => {
      const source = this.#source;
      if (mayType() && source && !source.destroyed && source.writableLength < MOST_BACKLOG) source.write(bytes);
    });
    stream.on('end', () => stream.destroy());
    stream.on('close', () => {
      this.#viewers.delete(stream);
      this.#onViewers(this.viewers);
      onEnd?.(cause);
    });
    if (this.#history.length > 0) stream.write(this.#history);
    this.#viewers.add(stream);
    this.#onViewers(this.viewers);
  }

  async connect(stream: Duplex, { signal }: { readonly signal: AbortSignal }): Promise<ConsoleSession> {
    const lost = new AbortController();
    const close = () => void stream.destroy();
    stream.on('error', () => {});
    stream.on('data', (bytes: Buffer) => this.#show(bytes));
    stream.on('end', close);
    stream.on('close', () => {
      if (this.#source === stream) this.#source = undefined;
      signal.removeEventListener('abort', close);
      lost.abort(new FarmError('ConnectionLost', 'The serial console is over.'));
    });
    signal.addEventListener('abort', close, { once: true });
    this.#source = stream;
    return { lost: lost.signal, close };
  }

  close(): void {
    // Written data is still sent.
    for (const viewer of this.#viewers) viewer.end(() => viewer.destroy());
  }

  #show(bytes: Buffer): void {
    this.#history = Buffer.concat([this.#history, bytes]).subarray(-HISTORY_BYTES);
    for (const viewer of this.#viewers) {
      if (viewer.writableLength > MOST_BACKLOG) viewer.destroy();
      else viewer.write(bytes);
    }
  }
}
