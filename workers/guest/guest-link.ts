import type { Duplex } from 'node:stream';
import type { Clock } from '../../common/clock/clock.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import type { OnAttempt } from './attempts.ts';
import { type GuestConnection, type GuestCredentials, hostKeyHash, openGuestConnection } from './guest-connection.ts';

/**
 * The host keys of a guest, by hash, pinned at the first login. New ones must have been reported over a
 * connection that was trusted before.
 */
export interface HostKeyPins {
  /** Undefined: none are pinned yet. */
  read(): Promise<readonly string[] | undefined>;
  /** @param hostKeys empty: the key that the guest shows next is pinned */
  write(hostKeys: readonly string[]): Promise<void>;
}

export interface GuestLinkOptions {
  /** Opens a byte stream to the guest's SSH port. */
  readonly dial: (signal: AbortSignal) => Promise<Duplex>;
  readonly credentials: GuestCredentials;
  readonly hostKeys: HostKeyPins;
  /** How long the guest may be out of reach. */
  readonly timeoutMs: number;
  /** The guest is known to be up: a refusal is final. @defaultValue false: it may be booting */
  readonly isUp?: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hears how each try to get in ended. */
  readonly onAttempt?: OnAttempt;
  /** Ends the link, and every use of it with its reason. */
  readonly signal: AbortSignal;
}

const DIAL_MS = 15_000;
const RETRY_MS = 500;
/** A guest that refuses the connection is up, and its SSH server will be in a moment. */
const LISTENING_SOON_MS = 50;
/** Guests punish many refused logins. */
const REFUSED_RETRY_MS = 2_000;
const MOST_LOSSES = 20;

/** The way to a guest over connections that may break: one at a time, opened when it is needed. */
export class GuestLink {
  readonly #options: GuestLinkOptions;
  #connection: GuestConnection | undefined;

  constructor(options: GuestLinkOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#connection?.abandon(), { once: true });
  }

  /**
   * Runs `work` with a connection, and from its beginning with a new one whenever that is lost.
   * @throws PhaseFailure GuestNeverAnswered, ClusterUnavailable, the signal's reason, or what `work` threw.
   */
  async use<T>(work: (guest: GuestConnection) => Promise<T>): Promise<T> {
    const { signal, clock, logger } = this.#options;
    for (let losses = 0; ; losses += 1) {
      const guest = await this.connect();
      try {
        return await work(guest);
      } catch (error) {
        signal.throwIfAborted();
        const lost = error instanceof FarmError && error.code === 'ConnectionLost';
        if (!lost || losses >= MOST_LOSSES) throw error;
        logger.info({ err: error }, 'The connection to the guest was lost');
        if (!guest.lost.aborted) guest.close();
        await clock.after(RETRY_MS, signal);
      }
    }
  }

  /** The connection that there is, or a new one, as soon as the guest lets us in. Throws as `use`. */
  async connect(): Promise<GuestConnection> {
    const { signal, clock, logger, timeoutMs, isUp = false, onAttempt } = this.#options;
    const startedAt = clock.now();
    const report = (number: number, error?: unknown) =>
      onAttempt?.({ number, elapsedMs: clock.now() - startedAt, timeoutMs, error });
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      if (this.#connection && !this.#connection.lost.aborted) return this.#connection;
      try {
        this.#connection = await this.#open();
        report(attempt);
        logger.info({ attempt, durationMs: clock.now() - startedAt }, 'Logged into the guest');
        return this.#connection;
      } catch (error) {
        signal.throwIfAborted();
        logger.debug({ err: error, attempt }, 'The guest does not answer yet');
        if (!isPassing(error)) throw error;
        report(attempt, error);
        if (clock.now() - startedAt >= timeoutMs || (isUp && isLoginRefused(error))) throw this.#neverAnswered(error);
        await clock.after(pauseAfter(error), signal);
      }
    }
  }

  /**
   * Pins the host keys that a trusted guest reports, besides the one by which it is trusted.
   * @param keys in Base64
   */
  async pinHostKeys(guest: GuestConnection, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const { hostKeys } = this.#options;
    const expected = [...new Set([guest.hostKey, ...keys.map(hostKeyHash)])].sort();
    const pinned = (await hostKeys.read()) ?? [];
    if (expected.join() !== [...pinned].sort().join()) await hostKeys.write(expected);
  }

  /** Pins the key that the guest shows next: it will have others, which are not known yet. */
  async forgetHostKeys(): Promise<void> {
    await this.#options.hostKeys.write([]);
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #open(): Promise<GuestConnection> {
    const { dial, credentials, hostKeys } = this.#options;
    const signal = anySignal(this.#options.signal, AbortSignal.timeout(2 * DIAL_MS));
    const pinned = await hostKeys.read();
    const stream = await dial(anySignal(signal, AbortSignal.timeout(DIAL_MS)));
    const guest = await openGuestConnection({ stream, credentials, hostKeys: pinned, signal });
    if (pinned === undefined) await hostKeys.write([guest.hostKey]);
    return guest;
  }

  #neverAnswered(cause: unknown): Error {
    if (cause instanceof FarmError && cause.code === 'ClusterUnavailable') return cause;
    const seconds = Math.round(this.#options.timeoutMs / 1000);
    const message = `SSH login did not succeed within ${seconds} s; the last attempt ended with: ${errorMessage(cause)}`;
    return new PhaseFailure('GuestNeverAnswered', message, { cause });
  }
}

/** Broken connections, time-outs and refusals: a guest that is booting gives all of them. */
function isPassing(error: unknown): boolean {
  if (error instanceof FarmError) return error.kind === 'unavailable' || error.kind === 'deadline';
  return error instanceof Error && (error.name === 'TimeoutError' || 'code' in error);
}

function pauseAfter(error: unknown): number {
  if (isLoginRefused(error)) return REFUSED_RETRY_MS;
  return /ECONNREFUSED|connection refused/i.test(errorMessage(error)) ? LISTENING_SOON_MS : RETRY_MS;
}

/** Whether the guest answered, and let the farm not in. */
export function isLoginRefused(error: unknown): boolean {
  return error instanceof FarmError && error.details['level'] === 'client-authentication';
}
