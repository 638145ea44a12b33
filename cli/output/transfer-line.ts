import { printable } from '../../common/text/printable.ts';
import { sizeText } from '../../common/text/size-text.ts';

const REFRESH_MS = 100;
const MIB = 1024 ** 2;
/** Smaller ones finish before a line could be read. */
const LEAST_BYTES = 8 * MIB;

/** Progress of long reads and uploads: one updated line on a terminal, no output elsewhere. */
export class TransferLine {
  readonly #stream: NodeJS.WriteStream;
  #shownAt = 0;
  #isShown = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** How far the farm itself is. */
  showShare(what: string, percent: number): void {
    this.#write(`${printable(what)}  ${percent} %`);
  }

  show(what: string, doneBytes: number, totalBytes: number): void {
    if (totalBytes < LEAST_BYTES) return;
    const share = Math.floor((100 * doneBytes) / totalBytes);
    this.#write(`${printable(what)}  ${share} % of ${sizeText(totalBytes)}`);
  }

  clear(): void {
    if (this.#isShown) this.#stream.write('\r\x1b[K');
    this.#isShown = false;
  }

  #write(text: string): void {
    const now = Date.now();
    if (!this.#stream.isTTY || now - this.#shownAt < REFRESH_MS) return;
    this.#shownAt = now;
    this.#isShown = true;
    this.#stream.write(`\r\x1b[K${text.slice(0, this.#stream.columns - 1)}`);
  }
}
