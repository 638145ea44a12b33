import type { Cut } from '../../common/logging/mask.ts';

/** Longer lines are cut into pieces, so that a guest without newlines cannot fill the memory. */
const LONGEST_LINE = 16 * 1024;
const NEWLINE = 0x0a;

/** A line and the offset in the stream right after it. */
export interface LogLine {
  readonly text: string;
  readonly end: number;
  /** Where it was cut off because it is too long. */
  readonly cut: Cut;
}

/** Cuts a stream of bytes into lines. Control characters stay as they are; bytes that are not UTF-8 become U+FFFD. */
export class LineSplitter {
  #rest = Buffer.alloc(0);
  #restAt: number;
  /** Whether the rest continues a line that was cut; the start of a resumed stream is unknown. */
  #isInside: boolean;

  /** @param offset where in the stream the first pushed byte stands */
  constructor(offset: number) {
    this.#restAt = offset;
    this.#isInside = offset > 0;
  }

  /** The lines that the bytes complete. */
  push(bytes: Buffer): LogLine[] {
    const lines: LogLine[] = [];
    let rest = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const newline = rest.indexOf(NEWLINE);
      const isTooLong = newline === -1 || newline > LONGEST_LINE;
      if (newline === -1 && rest.length <= LONGEST_LINE) break;
      const length = isTooLong ? wholeCharacters(rest, LONGEST_LINE) : newline;
      const skipped = isTooLong ? 0 : 1;
      this.#restAt += length + skipped;
      lines.push(this.#line(rest.subarray(0, length), isTooLong));
      rest = rest.subarray(length + skipped);
    }
    this.#rest = Buffer.from(rest);
    return lines;
  }

  /** The last line, when it has no newline. */
  end(): LogLine[] {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    this.#restAt += rest.length;
    return rest.length === 0 ? [] : [this.#line(rest, false)];
  }

  #line(bytes: Buffer, isCut: boolean): LogLine {
    const line = { text: bytes.toString(), end: this.#restAt, cut: { start: this.#isInside, end: isCut } };
    this.#isInside = isCut;
    return line;
  }
}

/** The most bytes up to `length` that end with a character of UTF-8, where it is that. */
function wholeCharacters(bytes: Buffer, length: number): number {
  for (let end = length; end > length - 4; end -= 1) if (((bytes[end] ?? 0) & 0xc0) !== 0x80) return end;
  return length;
}
