import type { Mask } from '../../common/logging/mask.ts';
import { printable } from '../../common/text/printable.ts';
import { LineSplitter } from '../guest/log-lines.ts';

/** For the evidence of a failure: a kernel panic with its trace. */
const TAIL = 60;
/** Bytes that may wait to be stored; beyond them the oldest are dropped. */
const MOST_WAITING = 64 * 1024;

/** Lines that are not stored yet. */
export interface WaitingLines {
  readonly lines: readonly string[];
  /** How much of the log it makes whole, in bytes from its beginning. */
  readonly readBytes: number;
}

/** Takes the log of a serial port from its beginning and hands out the lines after a position, in bounded pieces. */
export class SerialLines {
  readonly #splitter = new LineSplitter(0);
  readonly #tail: string[] = [];
  #skippedTo: number;
  #pushedBytes = 0;
  readonly #mask: Mask;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #omitted = 0;
  #readBytes = 0;

  /** @param skippedTo how many bytes were stored before; they count for `tail` only */
  constructor(skippedTo: number, mask: Mask) {
    this.#skippedTo = skippedTo;
    this.#readBytes = skippedTo;
    this.#mask = mask;
  }

  /** The last lines. */
  get tail(): readonly string[] {
    return this.#tail;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether all that was pushed until now had been stored before. */
  get isBehind(): boolean {
    return this.#pushedBytes < this.#skippedTo;
  }

  /** The log is shorter than the stored part: its beginning is gone, and further output is new. */
  cutTo(length: number): void {
    if (length >= this.#skippedTo) return;
    this.#skippedTo = length;
    this.#readBytes = length;
  }

  push(bytes: Buffer): void {
    this.#pushedBytes += bytes.length;
    for (const { text, end, cut } of this.#splitter.push(bytes)) {
      const line = shown(this.#mask(text, cut));
      // Firmware clears and fills screens with line after empty line.
      if (line !== '' || this.#tail.at(-1) !== '') this.#tail.push(line);
      if (end > this.#skippedTo) this.#add(line, end);
    }
    this.#tail.splice(0, this.#tail.length - TAIL);
  }

  /** The pending lines; clears them. */
  take(): WaitingLines {
    const omitted = this.#omitted === 0 ? [] : [`[${this.#omitted} lines came too fast and are left out]`];
    const taken = { lines: [...omitted, ...this.#waiting], readBytes: this.#readBytes };
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#omitted = 0;
    return taken;
  }

  #add(line: string, end: number): void {
    this.#readBytes = end;
    if (line === '' && this.#waiting.at(-1) === '') return;
    this.#waiting.push(line);
    for (this.#waitingBytes += line.length; this.#waitingBytes > MOST_WAITING; this.#omitted += 1) {
      this.#waitingBytes -= this.#waiting.shift()?.length ?? 0;
    }
  }
}

/** Final state of the line on a terminal: after the last carriage return, as progress bars write over themselves. */
function shown(text: string): string {
  const whole = text.replace(/\r+$/, '');
  return printable(whole.slice(whole.lastIndexOf('\r') + 1)).trimEnd();
}
