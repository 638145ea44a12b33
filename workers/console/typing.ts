import type { Clock } from '../../common/clock/clock.ts';
import type { VncSession } from '../../common/console/vnc-session.ts';
import type { BootEvent } from '../../common/contracts/boot-command/parse.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { delayUntil } from './delay.ts';

/** QEMU plays a queued key event every 10 ms; measured 45 to 50 keys (two events each) a second. */
const EVENT_MS = 11;
/** Half of the 50 keys that may be under way: the next batch is sent while the last one is played. */
const BATCH_EVENTS = 50;
/** A machine that answers later than this was stalled meanwhile, and has processed no key. */
const PROMPT_MS = 100;
/** QEMU adds key events of its own, to make its lock keys fit the characters. */
const SETTLE_MS = 250;
/** A machine on a busy host processes keys slower by up to this share, without any signal. */
const DRIFT = 0.2;
/** Below this a wait is too short to make sure that every key before it has arrived. */
const CHECKED_WAIT_MS = 5_000;
/** Proxies cut consoles that are silent for a minute. */
const KEEP_ALIVE_MS = 15_000;
const NEVER = new AbortController().signal;

/** Dependencies of typing besides the session. */
export interface TypingOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Ends typing where another session may continue: between two batches, when every key has been played. */
  readonly pause?: AbortSignal;
  /** Called before keys are sent, 50 events at most: throws when they must not be. */
  readonly beforeBatch?: () => Promise<void>;
}

/** Where another object continues: each event before `next` was played. */
export interface TypingPosition {
  readonly next: number;
  /** When the event at `next` is due, in milliseconds since the epoch: a wait ends then. */
  readonly dueAt: number;
}

/**
 * Types events on a console, paced so that the machine's queue (about 170 keys; more are dropped silently) never holds
 * more than 50. A wait begins when the keys before it have been played. The object outlives sessions: when one is lost
 * while every key has surely arrived, typing continues in the next one where it stopped.
 */
export class BootTyping {
  readonly #events: readonly BootEvent[];
  readonly #held = new Set<number>();
  #next = 0;
  /** When the machine will have played everything that was sent; 0 before the first session. */
  #playedAt = 0;
  /** Time that the machine needs for the keys sent since the last confirmation. */
  #unconfirmedMs = 0;
  /** When the wait at `#next` is over, once it has begun. */
  #restUntil: number | undefined;
  /** Every event before this one has surely been played. */
  #confirmed = 0;

  /** Types all events, or those from where another object stopped. */
  constructor(events: readonly BootEvent[], from?: TypingPosition) {
    this.#events = events;
    if (!from) return;
    this.#next = from.next;
    this.#confirmed = from.next;
    this.#playedAt = from.dueAt;
    if (events[from.next]?.type === 'wait') this.#restUntil = from.dueAt;
    for (const event of events.slice(0, from.next)) this.#note(event);
  }

  /** Whether every key was sent. */
  get finished(): boolean {
    return this.#next === this.#events.length;
  }

  /** Keys that were pressed so far. */
  get pressed(): number {
    return this.#events.slice(0, this.#next).filter((event) => event.type === 'key' && event.down).length;
  }

  /** Whether another session may continue: no key can have been lost with the last one. */
  get resumable(): boolean {
    return this.#confirmed === this.#next;
  }

  /** Where another object may continue while this one is resumable. */
  get position(): TypingPosition {
    const event = this.#events[this.#next];
    const wait = event?.type === 'wait' ? event.ms : 0;
    return { next: this.#next, dueAt: this.#restUntil ?? this.#playedAt + wait };
  }

  /** Milliseconds of waiting before the first key; all of it, when there is no key. */
  get leadMs(): number {
    const first = this.#events.findIndex((event) => event.type === 'key');
    const lead = first === -1 ? this.#events : this.#events.slice(0, first);
    return lead.reduce((sum, event) => sum + (event.type === 'wait' ? event.ms : 0), 0);
  }

  /** Sets when the machine started, from where the waits before the first key count. */
  startedAt(time: number): void {
    this.#playedAt = time;
  }

  /**
   * Types the remaining keys, or those before the pause: `finished` shows which. Rejects with the reason of `session.lost`, of the
   * signal, or the error of `beforeBatch`.
   */
  async run(session: VncSession, options: TypingOptions): Promise<void> {
    const { clock, signal, pause = NEVER, beforeBatch = async () => {} } = options;
    const stop = anySignal(signal, session.lost);
    const halt = anySignal(stop, pause);
    this.#playedAt ||= clock.now();
    let arrived = Promise.resolve();
    // A server lifts the keys of a client that went away.
    for (const keysym of this.#held) session.key(keysym, true);
    try {
      while (this.#next < this.#events.length) {
        if (this.#events[this.#next]?.type === 'wait') {
          await this.#rest(session, clock, { stop, halt });
          continue;
        }
        await arrived;
        await delayUntil(clock, this.#playedAt - BATCH_EVENTS * EVENT_MS, halt);
        await beforeBatch();
        halt.throwIfAborted();
        this.#sendBatch(session, clock.now());
        arrived = this.#observe(session, clock);
        // Looked at before the next batch, which may never come.
        arrived.catch(() => {});
      }
    } catch (error) {
      if (stop.aborted || !pause.aborted || error !== pause.reason) throw error;
    } finally {
      if (!session.lost.aborted) for (const keysym of this.#held) session.key(keysym, false);
    }
    await this.#confirm(session, clock, stop);
  }

  #sendBatch(session: VncSession, now: number): void {
    let sent = 0;
    let isBetweenKeys = false;
    for (;;) {
      const event = this.#events[this.#next];
      if (event?.type !== 'key' || sent >= 2 * BATCH_EVENTS) break;
      // A batch ends between two keys, so that no pause makes the guest repeat one. Keys that the module holds down stay so.
      if (sent >= BATCH_EVENTS && isBetweenKeys && event.down) break;
      isBetweenKeys = !event.down;
      session.key(event.keysym, event.down);
      this.#note(event);
      this.#next += 1;
      sent += 1;
    }
    this.#playedAt = Math.max(now, this.#playedAt) + sent * EVENT_MS;
    this.#unconfirmedMs += sent * EVENT_MS;
  }

  /** Keeps account of the keys that are held down. */
  #note(event: BootEvent): void {
    if (event.type !== 'key') return;
    if (event.down) this.#held.add(event.keysym);
    else this.#held.delete(event.keysym);
  }

  /** The wait is over `ms` after the keys before it were played; it continues in the next session when this one is lost. */
  async #rest(
    session: VncSession,
    clock: Clock,
    { stop, halt }: { readonly stop: AbortSignal; readonly halt: AbortSignal },
  ): Promise<void> {
    const event = this.#events[this.#next];
    const ms = event?.type === 'wait' ? event.ms : 0;
    this.#restUntil ??= this.#playedAt + ms;
    const until = this.#restUntil;
    if (ms >= CHECKED_WAIT_MS) {
      await this.#confirm(session, clock, stop);
      for (let now = clock.now(); now < until; now = clock.now()) {
        await delayUntil(clock, Math.min(until, now + KEEP_ALIVE_MS), halt);
        if (clock.now() < until) await session.barrier();
      }
    } else {
      await delayUntil(clock, until, halt);
    }
    if (this.#confirmed === this.#next) this.#confirmed += 1;
    this.#next += 1;
    this.#playedAt = until;
    this.#restUntil = undefined;
  }

  /** Waits until the machine has read and played everything; asked twice, because it may be held up during the wait. */
  async #confirm(session: VncSession, clock: Clock, stop: AbortSignal): Promise<void> {
    for (let asked = 0; asked < 2; asked += 1) {
      await this.#observe(session, clock);
      await delayUntil(clock, this.#playedAt + SETTLE_MS + this.#unconfirmedMs * DRIFT, stop);
    }
    this.#unconfirmedMs = 0;
    this.#confirmed = this.#next;
  }

  /** Resolves when the machine has read the sent keys; a late answer postpones their processing. */
  async #observe(session: VncSession, clock: Clock): Promise<void> {
    const askedAt = clock.now();
    await session.barrier();
    this.#playedAt += Math.max(0, clock.now() - askedAt - PROMPT_MS);
  }
}
