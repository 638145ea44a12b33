import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import { askAcknowledgement, type Rfb2Client, Rfb2Stream, startRfb2 } from './rfb2-client.ts';
import { Screen } from './screen.ts';
import type { VncSession } from './vnc-session.ts';

/** How a console session is opened. */
export interface VncSessionOptions {
  /** Raw RFB bytes, e.g. KubeVirt's `vnc` subresource; the session owns and destroys it. */
  readonly stream: Duplex;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Screen that it draws on. @defaultValue a screen without viewers */
  readonly screen?: Screen;
  /** Bound of the handshake and of every later answer. @defaultValue 10 s */
  readonly answerTimeoutMs?: number;
}

/** Pause between a picture and the request for the next one. */
const PICTURE_MS = 50;

/**
 * Opens an RFB 3.8 session (no authentication) with rfb2. The library's known faults are contained here: it sees only
 * encodings that can be read, its exceptions end the session instead of the process, and every fault that makes it stall
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
  readonly #wire: Rfb2Stream;
  readonly #screen: Screen;
  readonly #clock: Clock;
  readonly #answerTimeoutMs: number;
  readonly #client: Rfb2Client;
  readonly #lost = new AbortController();
  #firstPicture = () => {};
  #isFollowed = false;
  /** Whether a request for a picture is under way: the first one is the library's own. */
  #isAsked = true;
  #isResized = false;
  /** Barriers that wait; the first one stands for the acknowledgement that comes by itself. */
  readonly #barriers: (() => void)[] = [() => {}];

  constructor({ stream, clock, screen = new Screen(1, 1), answerTimeoutMs = 10_000 }: VncSessionOptions) {
    this.#stream = stream;
    this.#clock = clock;
    this.#screen = screen;
    this.#answerTimeoutMs = answerTimeoutMs;
    this.#wire = new Rfb2Stream((bytes) => void (stream.destroyed || stream.write(bytes)));
    this.#client = startRfb2(this.#wire, screen, {
      onPicture: (isResized) => this.#onPicture(isResized),
      onAcknowledged: () => this.#barriers.shift()?.(),
    });
    this.#client.on('error', (error) => this.#lose(errorMessage(error), error));
    stream.on('error', (error) => this.#lose(errorMessage(error), error));
    for (const end of ['end', 'close']) stream.on(end, () => this.#lose('the server closed the connection'));
    this.ready = this.#answer((resolve) => {
      this.#firstPicture = resolve;
    });
    stream.on('data', (bytes: Buffer) => {
      try {
        if (!this.lost.aborted) this.#wire.emit('data', bytes);
      } catch (error) {
        this.#lose(errorMessage(error), error);
      }
    });
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get backlog(): number {
    return this.#stream.writableLength;
  }

  key(keysym: number, down: boolean): void {
    this.lost.throwIfAborted();
    this.#client.keyEvent(keysym, down ? 1 : 0);
  }

  pointer(x: number, y: number, buttons: number): void {
    this.lost.throwIfAborted();
    this.#client.pointerEvent(x, y, buttons);
  }

  async barrier(): Promise<void> {
    this.lost.throwIfAborted();
    const answer = this.#answer((resolve) => void this.#barriers.push(resolve));
    askAcknowledgement(this.#wire);
    await answer;
  }

  follow(isOn: boolean): void {
    this.#isFollowed = isOn;
    this.#ask();
  }

  close(): void {
    this.#lose('it was closed');
  }

  #lose(why: string, cause?: unknown): void {
    if (this.lost.aborted) return;
    this.#lost.abort(new FarmError('ConnectionLost', `The console was lost: ${why}.`, { cause }));
    this.#stream.destroy();
  }

  #onPicture(isResized: boolean): void {
    this.#firstPicture();
    this.#isResized ||= isResized;
    this.#screen.changed();
    this.#clock.after(PICTURE_MS, this.lost).then(
      () => {
        this.#isAsked = false;
        this.#ask();
      },
      () => {},
    );
  }

  /** One request at a time: the server remembers what changes until it is asked. */
  #ask(): void {
    if (!this.#isFollowed || this.#isAsked || this.lost.aborted) return;
    this.#isAsked = true;
    const { width, height } = this.#client;
    this.#client.requestUpdate(this.#isResized ? 0 : 1, 0, 0, width, height);
    this.#isResized = false;
  }

  async #answer(start: (resolve: () => void) => void): Promise<void> {
    const settled = new AbortController();
    const answer = new Promise<void>((resolve, reject) => {
      start(resolve);
      this.lost.addEventListener('abort', () => reject(this.lost.reason), { signal: settled.signal });
    });
    this.#clock.after(this.#answerTimeoutMs, settled.signal).then(
      () => this.#lose(`no answer within ${this.#answerTimeoutMs} ms`),
      () => {},
    );
    try {
      await answer;
    } finally {
      settled.abort();
    }
  }
}
