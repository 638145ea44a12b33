import type { Duplex } from 'node:stream';
import type { Clock } from '../../common/clock/clock.ts';
import { openVncSession } from '../../common/console/rfb2-session.ts';
import type { VncSession } from '../../common/console/vnc-session.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { HeldConsole } from '../context/worker-consoles.ts';
import type { BootTyping } from './typing.ts';

const RETRY_MS = 500;
/** How long a console that cannot be opened is tried again. */
const REOPEN_MS = 60_000;

export interface BootConsole {
  readonly typing: BootTyping;
  /** Opens the raw RFB stream. */
  readonly dial: (signal: AbortSignal) => Promise<Duplex>;
  /** Screen of the sessions, and its viewers. */
  readonly held: Pick<HeldConsole, 'screen' | 'show'>;
  /** Called with the time when the first session is open. */
  readonly onAttached: (time: number) => void;
  /** Called before keys are sent: throws when they must not be. */
  readonly beforeBatch: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Ends typing where another worker may continue. */
  readonly pause: AbortSignal;
}

/**
 * Types a boot command to its end, or until it is paused (`typing.finished` shows which), over as many sessions as it takes.
 * Resolves with false when a session was lost in a way that may have lost keys: which keys reached the guest is unknown then.
 * @throws ConnectionLost or ClusterUnavailable when the console cannot be opened, the signal's reason, or what
 *   `beforeBatch` threw.
 */
export async function typeOnConsole(console: BootConsole): Promise<boolean> {
  const { typing, clock, logger, signal, pause, beforeBatch } = console;
  for (let attached = false; ; attached = true) {
    const session = await openSession(console);
    if (!session) return true;
    if (!attached) console.onAttached(clock.now());
    console.held.show(session);
    try {
      await typing.run(session, { clock, signal, pause, beforeBatch });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (!session.lost.aborted) throw error;
      logger.warn({ err: error, resumable: typing.resumable }, 'The console was lost while typing');
      if (!typing.resumable) return false;
    } finally {
      session.close();
    }
  }
}

/** Undefined when it is paused first. */
async function openSession(console: BootConsole): Promise<VncSession | undefined> {
  const { dial, held, clock, logger, signal, pause } = console;
  const startedAt = clock.now();
  while (!pause.aborted) {
    try {
      return await openVncSession({ stream: await dial(signal), screen: held.screen, clock, signal });
    } catch (error) {
      signal.throwIfAborted();
      const passing = error instanceof FarmError && error.kind === 'unavailable';
      if (!passing || clock.now() - startedAt > REOPEN_MS) throw error;
      logger.info({ err: error }, 'The console cannot be opened yet');
      await clock.after(RETRY_MS, signal);
    }
  }
  return undefined;
}
