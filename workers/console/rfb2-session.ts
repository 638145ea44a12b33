import type { Duplex } from 'node:stream';
import type { Clock } from '../../common/clock/clock.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { type Rfb2Client, Rfb2Stream, startRfb2 } from './rfb2-client.ts';
import type { VncSession } from './vnc-session.ts';

/** How a console session is opened. */
export interface VncSessionOptions {
  /** Raw RFB bytes, e.g. KubeVirt's `vnc` subresource; the session owns and destroys it. */
  readonly stream: Duplex;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Bound of the handshake and of every later answer. @defaultValue 10 s */
  readonly answerTimeoutMs?: number;
}

/**
 * Opens an RFB 3.8 session (no authentication) with rfb2. The library's known faults are contained here: it sees only
 * encodings that it can read, what it throws ends the session instead of the process, and whatever makes it fall silent
 * runs into the deadline.
 * @throws ConnectionLost, or the reason of the signal.
 */
export async function openVncSession(options: VncSessionOptions): Promise<VncSession> {
  const { signal, stream } = options;
  if (signal.aborted) stream.destroy();
  signal.throwIfAborted();
  const session = new Rfb2Session(options);
  const abandon = () => session.close();
  signal.addEventListener('abort', abandon, { once: true });
  try {
    await session.ready;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', abandon);
  }
  return session;
}

class Rfb2Session implements VncSession {
  /** Resolves when the handshake is over and the first picture was read; rejects when the session is lost before. */
  readonly ready: Promise<void>;
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #answerTimeoutMs: number;
  readonly #client: Rfb2Client;
  readonly #lost = new AbortController();
  #turn: Promise<void>;
  #updated = () => {};

  constructor({ stream, clock, answerTimeoutMs = 10_000 }: VncSessionOptions) {
    this.#stream = stream;
    this.#clock = clock;
    this.#answerTimeoutMs = answerTimeoutMs;
    const wire = new Rfb2Stream((bytes) => void (stream.destroyed || stream.write(bytes)));
    this.#client = startRfb2(wire, () => this.#updated());
    this.#client.on('error', (error) => this.#lose(errorMessage(error), error));
    stream.on('error', (error) => this.#lose(errorMessage(error), error));
    for (const end of ['end', 'close']) stream.on(end, () => this.#lose('the server closed the connection'));
    this.ready = this.#turn = this.#nextUpdate();
    stream.on('data', (bytes: Buffer) => {
      try {
        wire.emit('data', bytes);
      } catch (error) {
        this.#lose(errorMessage(error), error);
      }
    });
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  key(keysym: number, down: boolean): void {
    this.lost.throwIfAborted();
    this.#client.keyEvent(keysym, down ? 1 : 0);
  }

  /** One request at a time, because the server may answer two with one update. */
  barrier(): Promise<void> {
    this.#turn = this.#turn.then(() => {
      this.lost.throwIfAborted();
      const update = this.#nextUpdate();
      this.#client.requestUpdate(0, 0, 0, 1, 1);
      return update;
    });
    this.#turn.catch(() => {});
    return this.#turn;
  }

  close(): void {
    this.#lose('it was closed');
  }

  #lose(why: string, cause?: unknown): void {
    if (this.lost.aborted) return;
    this.#lost.abort(new FarmError('ConnectionLost', `The console was lost: ${why}.`, { cause }));
    this.#stream.destroy();
  }

  async #nextUpdate(): Promise<void> {
    const settled = new AbortController();
    const update = new Promise<void>((resolve, reject) => {
      this.#updated = resolve;
      this.lost.addEventListener('abort', () => reject(this.lost.reason), { signal: settled.signal });
    });
    this.#clock.after(this.#answerTimeoutMs, settled.signal).then(
      () => this.#lose(`no answer within ${this.#answerTimeoutMs} ms`),
      () => {},
    );
    try {
      await update;
    } finally {
      settled.abort();
    }
  }
}
