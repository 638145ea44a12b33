import type { Clock } from '../../common/clock/clock.ts';
import { whileUnavailable } from '../../common/lifecycle/while-unavailable.ts';
import type { Mask } from '../../common/logging/mask.ts';
import { LineSplitter, type LogLine } from './log-lines.ts';

/** Lines that are on their way at once. */
const BATCH = 200;
/** Lines that may wait; more hold the reader up, so that a chatty guest cannot fill the memory. */
const MOST_WAITING = 5_000;
const TAIL = 40;

export interface GuestLogOptions {
  /** Stores one line; may throw `RedisUnavailable`, then it is called again. */
  readonly emit: (line: string) => Promise<void>;
  readonly mask: Mask;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Where in the log the first pushed byte stands. */
  readonly offset: number;
}

/** Takes the bytes of a log and stores its lines in order, as many at once as there are. */
export class GuestLog {
  readonly #options: GuestLogOptions;
  readonly #splitter: LineSplitter;
  readonly #waiting: LogLine[] = [];
  readonly #tail: string[] = [];
  #kept: number;
  #received: number;
  #storing: Promise<void> | undefined;
  /** Called with the offset up to which everything is stored. */
  onKept: (offset: number) => void = () => {};

  constructor(options: GuestLogOptions) {
    this.#options = options;
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
    this.#received += bytes.length;
    this.#add(this.#splitter.push(bytes));
    if (this.#waiting.length > MOST_WAITING) await this.#storing;
  }

  /** Adds a line of the farm's own, which is not in the log of the guest. */
  note(text: string): void {
    this.#add([...this.#splitter.end(), { text, end: this.#received, cut: {} }]);
  }

  /** Stores what is left, the unfinished last line too. */
  async end(): Promise<void> {
    this.#add(this.#splitter.end());
    await this.#storing;
  }

  #add(lines: readonly LogLine[]): void {
    if (lines.length === 0) return;
    for (const line of lines) this.#waiting.push({ ...line, text: this.#options.mask(line.text, line.cut) });
    this.#tail.push(...this.#waiting.slice(-Math.min(TAIL, lines.length)).map(({ text }) => text));
    this.#tail.splice(0, this.#tail.length - TAIL);
    if (this.#storing) return;
    this.#storing = this.#store();
    this.#storing.catch(() => {});
  }

  async #store(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      await Promise.all(batch.map(({ text }) => whileUnavailable(this.#options, () => this.#options.emit(text))));
      this.#kept = batch.at(-1)?.end ?? this.#kept;
      this.onKept(this.#kept);
    }
    this.#storing = undefined;
  }
}
