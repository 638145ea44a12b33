import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';

export interface ViewerOptions {
  readonly name: string;
  /** Called for each input; input that is not allowed is dropped. */
  readonly mayType: () => boolean;
  /** Called once, when the viewer is gone. */
  readonly onEnd?: (cause: Error | undefined) => void;
}

/** The one session that a front has with a machine, or with another process that has one. */
export interface ConsoleSession {
  /** Aborted when the connection is over, by `close` too. */
  readonly lost: AbortSignal;
  close(): void;
}

/**
 * A console with any number of viewers. Its source may come, go and be replaced; viewers stay, and continue from the picture
 * shown last.
 */
export interface ConsoleFront {
  readonly viewers: number;
  /** Serves a viewer on a stream, which is destroyed with it. */
  attach(stream: Duplex, options: ViewerOptions): void;
  /** Connects a session to a stream: shows its output, and sends the input that is allowed. */
  connect(stream: Duplex, options: { readonly clock: Clock; readonly signal: AbortSignal }): Promise<ConsoleSession>;
  /** Sends all viewers away. */
  close(): void;
}
