import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { ConsoleFront, ConsoleSession, ViewerOptions } from './console-front.ts';
import { RfbViewer, type ViewerInput } from './rfb-viewer.ts';
import { openVncSession } from './rfb2-session.ts';
import { Screen } from './screen.ts';
import type { VncSession } from './vnc-session.ts';

/** Shown before the first picture. */
const DARK = { width: 720, height: 400 };
/** A source that reads slower than this gets no more input. */
const MOST_BACKLOG = 64 * 1024;

/** The screen of a machine, by VNC: every viewer sees the same picture. */
export class SharedConsole implements ConsoleFront {
  readonly screen = new Screen(DARK.width, DARK.height);
  readonly #viewers = new Set<RfbViewer>();
  readonly #onViewers: (count: number) => void;
  #session: VncSession | undefined;

  /** `onViewers` hears how many there are whenever that changes. */
  constructor(onViewers: (count: number) => void = () => {}) {
    this.#onViewers = onViewers;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  attach(stream: Duplex, { name, mayType, onEnd }: ViewerOptions): void {
    const held = new Set<number>();
    const viewer = new RfbViewer({
      stream,
      name,
      screen: this.screen,
      onInput: (input) => this.#input(input, { held, isAllowed: mayType() }),
      onEnd: (cause) => {
        // A viewer that disconnected sends no key releases.
        for (const keysym of held) this.#send({ type: 'key', keysym, down: false });
        this.#viewers.delete(viewer);
        this.#changed();
        onEnd?.(cause);
      },
    });
    this.#viewers.add(viewer);
    this.#changed();
  }

  async connect(
    stream: Duplex,
    options: { readonly clock: Clock; readonly signal: AbortSignal },
  ): Promise<ConsoleSession> {
    const session = await openVncSession({ ...options, stream, screen: this.screen });
    this.show(session);
    return session;
  }

  /** Shows the session on `screen`, and sends it the allowed input, until it is lost or replaced. */
  show(session: VncSession): void {
    this.#session?.follow(false);
    this.#session = session;
    session.follow(this.viewers > 0);
    const forget = () => {
      if (this.#session === session) this.#session = undefined;
    };
    session.lost.addEventListener('abort', forget, { once: true });
  }

  close(): void {
    for (const viewer of this.#viewers) viewer.close();
  }

  #changed(): void {
    this.#session?.follow(this.viewers > 0);
    this.#onViewers(this.viewers);
  }

  /** A key that was pressed while it was allowed may always be lifted. */
  #input(input: ViewerInput, viewer: { readonly held: Set<number>; readonly isAllowed: boolean }): void {
    const isLift = input.type === 'key' && !input.down && viewer.held.delete(input.keysym);
    if (!viewer.isAllowed && !isLift) return;
    if (this.#send(input) && input.type === 'key' && input.down) viewer.held.add(input.keysym);
  }

  #send(input: ViewerInput): boolean {
    const session = this.#session;
    if (!session || session.lost.aborted || session.backlog > MOST_BACKLOG) return false;
    if (input.type === 'key') session.key(input.keysym, input.down);
    else session.pointer(input.x, input.y, input.buttons);
    return true;
  }
}
