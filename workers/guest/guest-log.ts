import type { Clock } from '../../common/clock/clock.ts';
import { DEFAULT_LOG_LIMITS, type LogLimits } from '../../common/contracts/log-limits.ts';
import { whileUnavailable } from '../../common/lifecycle/while-unavailable.ts';
import type { Mask } from '../../common/logging/mask.ts';
import { LineSplitter, type LogLine } from './log-lines.ts';

/** Lines that are on their way at once. */
const BATCH = 2_000;
/** Characters that may wait; more hold the reader up, so that a chatty guest cannot fill the memory. */
const MOST_WAITING = 512 * 1024;
/** How long the output of a guest may exceed the average rate. */
const BURST_MS = 2_000;
const TAIL = 40;

export interface GuestLogOptions {
  /** Stores one line; may throw `RedisUnavailable`, then it is called again. */
  readonly emit: (line: string) => Promise<void>;
  readonly mask: Mask;
  /** How much is taken: of the whole log, and in a second. @defaultValue `DEFAULT_LOG_LIMITS` */
  readonly limits?: Pick<LogLimits, 'step' | 'perSecond'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Where in the log the first pushed byte stands. */
  readonly offset: number;
}

/** Takes the bytes of a log and stores its lines in order, as many at once as there are. */
export class GuestLog {
  readonly #options: GuestLogOptions;
  readonly #limits: Pick<LogLimits, 'step' | 'perSecond'>;
  readonly #splitter: LineSplitter;
  readonly #waiting: LogLine[] = [];
  readonly #tail: string[] = [];
  #kept: number;
  #received: number;
  /** Time at which the output read so far is within the average rate. */
  #paidAt = 0;
  #waitingLength = 0;
  #storing: Promise<void> | undefined;
  /** Called with the offset up to which everything is stored. */
  onKept: (offset: number) => void = () => {};

  constructor(options: GuestLogOptions) {
    this.#options = options;
    this.#limits = options.limits ?? DEFAULT_LOG_LIMITS;
    this.#splitter = new LineSplitter(options.offset);
    this.#kept = options.offset;
    this.#received = options.offset;
  }

  /** The last lines, for the evidence of a failure. */
  get tail(): readonly string[] {
    return this.#tail;
  }

  /** The offset of the byte that is to be pushed next. */
  get received(): number {
    return this.#received;
  }

  /** Up to where everything is stored. */
  get kept(): number {
    return this.#kept;
  }

  /** Resolves when more may come. Throws what ended storing, e.g. `Superseded`. */
  async push(bytes: Buffer): Promise<void> {
    const room = Math.max(0, this.#limits.step - this.#received);
    this.#received += bytes.length;
    if (room > 0) this.#add(this.#splitter.push(bytes.subarray(0, room)));
    if (this.#waitingLength > MOST_WAITING) await this.#storing;
    await this.#pace(bytes.length);
  }

  /** Adds a line of the farm's own, which is not in the log of the guest. */
  note(text: string): void {
    this.#add([...this.#splitter.end(), { text, end: this.#received, cut: {} }]);
  }

  /** Stores the remaining output, including an unfinished last line. */
  async end(): Promise<void> {
    this.#add(this.#splitter.end());
    const { step } = this.#limits;
    const most = `${step / 1024 ** 2} MiB`;
    if (this.#received > step) this.note(`[The output is longer than ${most} (logs.step); the rest is left out.]`);
    await this.#storing;
  }

  /** A guest with much output is read at the allowed rate; the rest waits in the guest. */
  async #pace(length: number): Promise<void> {
    const { clock, signal } = this.#options;
    const now = clock.now();
    this.#paidAt = Math.max(this.#paidAt, now - BURST_MS) + (1000 * length) / this.#limits.perSecond;
    if (this.#paidAt > now) await clock.after(this.#paidAt - now, signal);
  }

  #add(lines: readonly LogLine[]): void {
    if (lines.length === 0) return;
    for (const line of lines) {
      const text = this.#options.mask(line.text, line.cut);
      this.#waiting.push({ ...line, text });
      this.#waitingLength += text.length;
    }
    this.#tail.push(...this.#waiting.slice(-Math.min(TAIL, lines.length)).map(({ text }) => text));
    this.#tail.splice(0, this.#tail.length - TAIL);
    if (this.#storing) return;
    this.#storing = this.#store();
    this.#storing.catch(() => {});
  }

  async #store(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      for (const { text } of batch) this.#waitingLength -= text.length;
      await Promise.all(batch.map(({ text }) => whileUnavailable(this.#options, () => this.#options.emit(text))));
      this.#kept = batch.at(-1)?.end ?? this.#kept;
      this.onKept(this.#kept);
    }
    this.#storing = undefined;
  }
}
