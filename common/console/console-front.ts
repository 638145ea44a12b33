import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';

export interface ViewerOptions {
  readonly name: string;
  /** Asked for each input: what may not be typed is dropped. */
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
 * A console that any number of people see. Its source may come, go and be replaced; viewers stay, and go on from what was
 * shown last.
 */
export interface ConsoleFront {
  readonly viewers: number;
  /** Serves a viewer on a stream, which is destroyed with it. */
  attach(stream: Duplex, options: ViewerOptions): void;
  /** Has a session on a stream, shows what comes from there, and sends there what may be typed. */
  connect(stream: Duplex, options: { readonly clock: Clock; readonly signal: AbortSignal }): Promise<ConsoleSession>;
  /** Sends all viewers away. */
  close(): void;
}
